// SPDX-License-Identifier: MIT
// The words that formulas use, pow, powr, max, min and sign, and those of messages.
#include <bit>
#include <cmath>
#include <limits>

#include "every_rule.h"

namespace adabelief::tests {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

TEST(Pow, IsWithinAnUlpOfLongDouble) {
  if (std::numeric_limits<long double>::digits < 64) GTEST_SKIP() << "long double is double here";
  const auto check = [](double b, double t) {
    const long double exact = std::pow(static_cast<long double>(b), static_cast<long double>(t));
    const double nearest = static_cast<double>(exact);
    const double ulp = std::nextafter(nearest, infinity) - nearest;
    ASSERT_LE(std::abs(adabelief::pow(b, t) - exact), nearest < 1e-290 ? 4 * ulp : ulp) << b << " to the " << t;
  };
  for (const double b : {0.9, 0.999, 0.9999, 0.99999, 0.5, 0.1, 0.3, 1e-3, 0.95, std::nextafter(1.0, 0.0)}) {
    for (int t = 0; t <= 2000; ++t) check(b, t);
    for (int t = 2000; t <= 1'000'000; t += 997) check(b, t);
    for (const double t : {65535., 65536., 65537., 999'999., 1'000'000.}) check(b, t);
  }
}

TEST(Pow, IsExactWhereTheProductIs) {
  EXPECT_EQ(pow(0.0, 0.0), 1);
  EXPECT_EQ(pow(0.0, 5.0), 0);
  EXPECT_EQ(pow(1.0, 1e15), 1);
  EXPECT_EQ(pow(0.9, 1.0), 0.9);
  EXPECT_EQ(pow(0.5, 1000.0), 0x1p-1000);
  EXPECT_EQ(pow(0.75, 30.0), 205891132094649 * 0x1p-60);
  EXPECT_EQ(pow(0.5, 1e9), 0);
}

TEST(Max, IsTheSecondWhereEitherIsNaN) {
  EXPECT_EQ(adabelief::max(1.0, 2.0), 2);
  EXPECT_EQ(adabelief::max(2.0F, 1.0F), 2);
  EXPECT_TRUE(std::isnan(adabelief::max(1.0, nan)));
  EXPECT_EQ(adabelief::max(nan, 1.0), 1);
}

TEST(Min, IsTheSecondWhereEitherIsNaN) {
  EXPECT_EQ(adabelief::min(1.0, 2.0), 1);
  EXPECT_EQ(adabelief::min(2.0F, 1.0F), 1);
  EXPECT_TRUE(std::isnan(adabelief::min(1.0, nan)));
  EXPECT_EQ(adabelief::min(nan, 1.0), 1);
}

TEST(Sign, IsZeroOfZeroAndNaNOfNaN) {
  EXPECT_EQ(sign(-5e-324), -1);
  EXPECT_EQ(sign(infinity), 1);
  EXPECT_EQ(sign(0.0F), 0);
  EXPECT_EQ(sign(-0.0), 0);
  EXPECT_TRUE(std::isnan(sign(nan)));
}

template <class T>
void check_powr() {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  std::mt19937_64 random(1);
  for (const T p : {T(1), T(0.8), T(0.75), T(0.5), T(0.4), T(0.25), T(0.2), T(0.125), T(0.0625), T(1e-3)}) {
    double worst = 0;
    for (int i = 0; i < 20'000; ++i) {  // any number above 0, then any near 1
      const auto b = static_cast<Bits>(random()) >> 1;
      const T v = i % 2 ? std::bit_cast<T>(b) : 1 + (T(0.5) - static_cast<T>(b & 1023) / 1024) / static_cast<T>(i + 1);
      if (!std::isfinite(v) || v == 0) continue;
      const long double exact = std::pow(static_cast<long double>(v), static_cast<long double>(p));
      const T nearest = static_cast<T>(exact);
      const long double ulp = std::nextafter(nearest, std::numeric_limits<T>::infinity()) - nearest;
      worst = std::max(worst, static_cast<double>(std::abs(powr(v, p) - exact) / ulp));
    }
    EXPECT_LE(worst, 2) << "to the power " << p;
  }
  EXPECT_EQ(powr(T(0), T(0.5)), 0);
  EXPECT_EQ(powr(T(1), T(0.3)), 1);
  EXPECT_EQ(powr(T(4), T(0.5)), 2);
  EXPECT_EQ(powr(std::numeric_limits<T>::denorm_min(), T(1)), std::numeric_limits<T>::denorm_min());
  EXPECT_EQ(powr(std::numeric_limits<T>::max(), T(1)), std::numeric_limits<T>::max());
  EXPECT_EQ(powr(std::numeric_limits<T>::infinity(), T(0.25)), std::numeric_limits<T>::infinity());
  EXPECT_TRUE(std::isnan(powr(std::numeric_limits<T>::quiet_NaN(), T(0.25))));
}

TEST(Powr, IsWithinTwoUlpsOfLongDouble) {
  if (std::numeric_limits<long double>::digits < 64) GTEST_SKIP() << "long double is double here";
  check_powr<float>();
  check_powr<double>();
}

TEST(Interval, HoldsItsEndsAsItSays) {
  constexpr Interval closed{0, 1, true, true}, open{0, 1, false, false};
  EXPECT_TRUE(closed.contains(0) && closed.contains(1) && !closed.contains(nan) && !closed.contains(-1e-300));
  EXPECT_TRUE(!open.contains(0) && !open.contains(1) && open.contains(0.5) && !open.contains(nan));
  EXPECT_TRUE(!at_least_zero.contains(infinity) && at_least_zero.contains(1e308));
  EXPECT_EQ(text(closed), "[0, 1]");
  EXPECT_EQ(text(open), "(0, 1)");
  EXPECT_EQ(text(at_least_zero), "[0, inf)");
  EXPECT_EQ(text(Interval{-0.5, 1e-8, false, true}), "(-0.5, 1e-08]");
}

TEST(Text, OfANumberReadsBackAsTheSame) {
  EXPECT_EQ(text(0.001), "0.001");
  EXPECT_EQ(text(1e-8), "1e-08");
  EXPECT_EQ(text(1), "1");
  EXPECT_EQ(text(infinity), "inf");
  EXPECT_EQ(text(nan), "nan");
  for (const double value : values<double>(1000, 7)) EXPECT_EQ(std::stod(text(value)), value);
  for (const double value : {0.1, 1 / 3., 5e-324, 1.7976931348623157e308}) {
    EXPECT_EQ(std::strtod(text(value).c_str(), nullptr), value);
  }
}

constexpr std::array<std::string_view, 6> names{"lr", "beta1", "beta2", "eps", "weight_decay", "adabelief"};

TEST(Nearest, IsTheOneOfFewestEdits) {
  EXPECT_EQ(nearest("beta3", names), "beta1");
  EXPECT_EQ(nearest("beta22", names), "beta2");
  EXPECT_EQ(nearest("esp", names), "eps");
  EXPECT_EQ(nearest("adabelif", names), "adabelief");
  EXPECT_EQ(nearest("weight_deca", names), "weight_decay");
}

TEST(Nearest, CompletesAName) {
  EXPECT_EQ(nearest("l", names), "lr");
  EXPECT_EQ(nearest("ada", names), "adabelief");
  EXPECT_EQ(nearest("weight", names), "weight_decay");
}

TEST(Nearest, IsNoneWhereNoneWasMeant) {
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("wd", names), "");  // two edits make it lr, but nothing of it stays
  EXPECT_EQ(nearest("something else", names), "");
  EXPECT_EQ(nearest("beta1", {}), "");
}

TEST(Unknown, SaysWhatThereIs) {
  constexpr std::array<std::string_view, 2> two{"one", "two"};
  EXPECT_EQ(unknown("number", "ones", two), "no number named 'ones'; did you mean one? There are: one, two");
  EXPECT_EQ(unknown("number", "zzzzz", two), "no number named 'zzzzz'. There are: one, two");
}

}  // namespace
}  // namespace adabelief::tests
