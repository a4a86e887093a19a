// SPDX-License-Identifier: MIT
// The whole C++ API without a framework. For LibTorch include adabelief/libtorch.h.
#pragma once

#include "adabelief/advise.h"
#include "adabelief/any.h"
#include "adabelief/cpu.h"
#include "adabelief/fold.h"
#include "adabelief/optimizer.h"
#include "adabelief/rules.h"
#include "adabelief/version.h"
