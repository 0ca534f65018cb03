/// The table of peers that `status` and `peers` show.
#pragma once

#include "meshctl/table.hpp"
#include "meshctl/value.hpp"

namespace meshctl {

Table peer_table(const Value& peers);

}  // namespace meshctl
