// SPDX-License-Identifier: MIT
// JSON as the trials write it.
#pragma once

#include <nlohmann/json.hpp>

namespace adabelief::trials {

using Json = nlohmann::ordered_json;  ///< with its keys in the order that they were given in

}  // namespace adabelief::trials
