// SPDX-License-Identifier: MIT
// The commit that the program was built from.
#pragma once

#include <string_view>

namespace adabelief::trials {

extern const std::string_view commit;  ///< such as "4bae6da0ff51", with "-dirty" where files differ from it

}  // namespace adabelief::trials
