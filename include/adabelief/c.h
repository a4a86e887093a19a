/* SPDX-License-Identifier: MIT */
/* The C interface: the optimizer whose rule is a name (any.h), for C and for what calls C: Python, Rust, Julia, Go.
 *
 * A function that can fail returns an adabelief_status, or NULL where it returns an address; adabelief_message() then
 * says what was wrong, on the thread that called. What has failed has changed nothing. No exception and no output
 * crosses the border, and adabelief_step allocates nothing. An optimizer is used by one thread at a time; different
 * ones may be used by several. Texts are UTF-8 and end in 0; those that are returned last as long as the library, where
 * nothing else is said. */
#ifndef ADABELIEF_C_H
#define ADABELIEF_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface: another number where a program compiled for this one would no longer run. */
#define ADABELIEF_ABI 1

/* That of the library, and the library's own version, such as "0.1.0". */
int32_t adabelief_abi(void);
const char* adabelief_version(void);

typedef int32_t adabelief_status;
enum {
  ADABELIEF_OK = 0,
  ADABELIEF_INVALID = 1, /* an argument does not fit */
  ADABELIEF_FILE = 2,    /* a file cannot be read or written, or holds something else */
  ADABELIEF_MEMORY = 3,  /* there is not enough */
  ADABELIEF_INTERNAL = 4 /* an error of the library's own */
};

/* What was wrong with the last call that failed on this thread, until the next; "" before the first. */
const char* adabelief_message(void);

/* An option of a rule, as data. */
typedef struct {
  const char *name, *meaning;
  double value; /* the default */
  double low, high;
  int32_t holds_low, holds_high; /* whether the ends are in the range */
  int32_t is_bool;               /* 0 and 1 */
  size_t choices;                /* of a choice the names of 0, 1, ...; else none */
  const char* const* choice_names;
} adabelief_option;

/* A named set of options. */
typedef struct {
  const char *name, *meaning;
  const double* values; /* of all options, in their order */
} adabelief_preset;

typedef struct {
  const char *name, *summary, *source;
  size_t options; /* the rule's own, then weight_decay and decay */
  const adabelief_option* option_list;
  size_t states;
  const char* const* state_names;
  size_t norms; /* of the whole tensor: where there are any, halves of a tensor are not stepped as the whole */
  const char* const* norm_names;
  size_t presets;
  const adabelief_preset* preset_list;
} adabelief_rule;

/* Every rule, by name; and one of them, or NULL and a message that names the nearest. */
const adabelief_rule* const* adabelief_rules(size_t* count);
const adabelief_rule* adabelief_find_rule(const char* name);

/* The floor of what a step divides by, under options of these values, in their order (advise.h). */
adabelief_status adabelief_effective_eps(const char* rule, const double* values, size_t count, double* eps);

/* Steps tensors that it does not own by one rule; keeps their states, or knows where the caller keeps them. */
typedef struct adabelief_optimizer adabelief_optimizer;

/* An option or "preset", and its value as text: {"lr", "1e-3"}, {"decay", "decoupled"}, {"rectify", "..."}. */
typedef struct {
  const char *name, *value;
} adabelief_setting;

enum { ADABELIEF_FLOAT32 = 0, ADABELIEF_FLOAT64 = 1, ADABELIEF_BFLOAT16 = 2, ADABELIEF_FLOAT16 = 3 }; /* types */
/* How states are kept: as what is computed in, which is double for float64 and float for all else; or in less, for
 * weights that are computed in float. */
enum { ADABELIEF_FULL = 0, ADABELIEF_STATES_BFLOAT16 = 1, ADABELIEF_STATES_8BIT = 2 };
/* How weights of bfloat16 and float16 are rounded; exactly by 16 bits more for each. */
enum { ADABELIEF_NEAREST = 0, ADABELIEF_STOCHASTIC = 1, ADABELIEF_EXACT = 2 };

typedef struct {
  int32_t states;  /* ADABELIEF_FULL, ... */
  int32_t weights; /* ADABELIEF_NEAREST, ... */
  uint64_t seed;   /* of stochastic rounding */
} adabelief_storage;

/* An optimizer with one group, number 0, and no tensor. `settings` may be NULL where count is 0, and `storage` for full
 * states and weights rounded to the nearest. NULL on failure. */
adabelief_optimizer* adabelief_create(const char* rule, const adabelief_setting* settings, size_t count,
                                      const adabelief_storage* storage);
void adabelief_destroy(adabelief_optimizer* optimizer); /* NULL is left alone */

/* A group with options of its own; `group`, where not NULL, is set to its number. */
adabelief_status adabelief_add_group(adabelief_optimizer* optimizer, const adabelief_setting* settings, size_t count,
                                     size_t* group);

/* How the states of n weights of a type are kept, and the bytes of each: few weights have full states where others have
 * 8 bits. `state` and `bytes` may be NULL. */
adabelief_status adabelief_state_form(int32_t states, int32_t type, size_t n, int32_t* state, size_t* bytes);

#define ADABELIEF_MAX_STATES 4

/* Memory of the caller's, which must outlive the optimizer and overlaps nothing. */
typedef struct {
  void* weights;
  size_t n; /* elements */
  int32_t type;
  int32_t gradient_type; /* float64 where the type is float64, any of the others where it is one of them */
  size_t group;
  /* The rule's states, each of as many bytes as adabelief_state_form says, at an address fit for their elements, in 8
   * bits a multiple of 4; they hold zeros or what an optimizer left in them. The optimizer keeps all states itself
   * where the first is NULL. */
  void* states[ADABELIEF_MAX_STATES];
  /* n elements where the states are the caller's, or the rule has none; the type has 16 bits, and rounding is exact. */
  int16_t* rest;
  /* A number in which the steps are counted, and its type, float32, which counts to 2^24, or float64: read before a
   * step, written after it. NULL: the optimizer counts. */
  void* steps;
  int32_t steps_type;
} adabelief_tensor;

/* Adds a tensor; its number is how many there were before. */
adabelief_status adabelief_add(adabelief_optimizer* optimizer, const adabelief_tensor* tensor);

/* One step. `gradients` are the addresses of the gradients of all tensors, in the order in which these were added; one
 * without gradient (NULL) is left as it is. They are only read, unless the fold zeroes them. */
adabelief_status adabelief_step(adabelief_optimizer* optimizer, const void* const* gradients, size_t count);

/* What later steps do to their gradients, in this order (fold.h says more). */
typedef struct {
  double scale;           /* every gradient is multiplied by it; negative, the step maximizes */
  int32_t skip_nonfinite; /* nothing changes in a step of which a gradient is not finite */
  double max_norm;        /* the norm of all gradients is cut to it; infinity: not */
  double max_value;       /* each element is cut to [-max_value, max_value]; infinity: not */
  int32_t zero_gradients; /* gradients are set to 0 after their use, and so must be writable */
} adabelief_fold;

adabelief_status adabelief_set_fold(adabelief_optimizer* optimizer, const adabelief_fold* fold); /* NULL: nothing */
/* Of the last step's gradients the norm, after scale and before max_norm, NaN where nothing asked for it; and how many
 * steps skip_nonfinite has left out. */
adabelief_status adabelief_folded(const adabelief_optimizer* optimizer, double* norm, int64_t* skipped);

/* An option of a group, or "preset", from text; and its value as a number. */
adabelief_status adabelief_set(adabelief_optimizer* optimizer, size_t group, const char* name, const char* value);
adabelief_status adabelief_get(const adabelief_optimizer* optimizer, size_t group, const char* name, double* value);
/* All of them as numbers, in the order of the rule's list: for a caller that changes lr in every step. */
adabelief_status adabelief_set_values(adabelief_optimizer* optimizer, size_t group, const double* values, size_t count);
adabelief_status adabelief_get_values(const adabelief_optimizer* optimizer, size_t group, double* values, size_t count);

/* How many there are; each may be NULL. Bytes are those of all states, the caller's included. */
adabelief_status adabelief_count(const adabelief_optimizer* optimizer, size_t* groups, size_t* tensors,
                                 size_t* state_bytes);

/* Steps that a tensor has taken. */
adabelief_status adabelief_get_steps(adabelief_optimizer* optimizer, size_t tensor, int64_t* steps);
adabelief_status adabelief_set_steps(adabelief_optimizer* optimizer, size_t tensor, int64_t steps);

/* The numbers of a state such as "exp_avg", however they are kept: n floats (type ADABELIEF_FLOAT32) or doubles
 * (ADABELIEF_FLOAT64), as many as the tensor has weights. What is set is rounded to the form in which it is kept. */
adabelief_status adabelief_get_state(const adabelief_optimizer* optimizer, size_t tensor, const char* name, void* to,
                                     size_t n, int32_t type);
adabelief_status adabelief_set_state(adabelief_optimizer* optimizer, size_t tensor, const char* name, const void* from,
                                     size_t n, int32_t type);

/* Options, step counts and states (not the weights) to a file, which whatever stops the program leaves whole, and from
 * one, of an optimizer of the same rule, groups and tensors in them. */
adabelief_status adabelief_save(adabelief_optimizer* optimizer, const char* path);
adabelief_status adabelief_load(adabelief_optimizer* optimizer, const char* path);

/* On at most so many threads of OpenMP; 1: on the caller's alone; 0, as at first: on as many as OpenMP has. */
adabelief_status adabelief_set_threads(adabelief_optimizer* optimizer, int32_t most);

/* On threads of the caller's: `threads` says how many are worth making, `run` calls task(context, i) for each i in
 * [0, tasks) and returns when all are done. The results do not depend on it. A task takes up to 128 KiB of stack. */
adabelief_status adabelief_set_executor(adabelief_optimizer* optimizer, int (*threads)(void),
                                        void (*run)(int tasks, void (*task)(void* context, int index), void* context));

/* The instruction set in use ("baseline", "avx2", "avx512"), NULL where the environment's ADABELIEF_ISA names one that
 * this machine lacks; and another for all optimizers, whatever the environment says. Each gives the same bits. */
const char* adabelief_isa(void);
adabelief_status adabelief_use_isa(const char* name);

#ifdef __cplusplus
}
#endif

#endif
