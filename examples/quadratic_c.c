/* SPDX-License-Identifier: MIT */
/* AdaBelief from C: the minimum of f(x, y) = (x - 3)^2 + 10 (y + 1)^2. */
#include <adabelief/c.h>
#include <stdio.h>

/* What a call that failed leaves to say. */
static int fail(void) {
  fprintf(stderr, "%s\n", adabelief_message());
  return 1;
}

int main(void) {
  float x[2] = {0, 0}, gradient[2];
  const adabelief_setting settings[] = {{"lr", "0.1"}};
  adabelief_optimizer* optimizer = adabelief_create("adabelief", settings, 1, NULL);
  if (optimizer == NULL) return fail();
  const adabelief_tensor tensor = {.weights = x, .n = 2, .type = ADABELIEF_FLOAT32};
  if (adabelief_add(optimizer, &tensor) != ADABELIEF_OK) return fail();

  const void* const gradients[] = {gradient};
  for (int t = 0; t < 500; ++t) {
    gradient[0] = 2 * (x[0] - 3);
    gradient[1] = 20 * (x[1] + 1);
    if (adabelief_step(optimizer, gradients, 1) != ADABELIEF_OK) return fail();
  }
  int64_t steps = 0;
  if (adabelief_get_steps(optimizer, 0, &steps) != ADABELIEF_OK) return fail();
  printf("x = %.3f, y = %.3f after %lld steps\n", x[0], x[1], (long long)steps);
  adabelief_destroy(optimizer);
  return 0;
}
