/// The tables of peers: all that is known, for `peers`, and what fits a terminal, for `status`.
#pragma once

#include "meshctl/table.hpp"
#include "meshctl/value.hpp"

namespace meshctl {

Table peer_table(const Value& peers);
Table short_peer_table(const Value& peers);

}  // namespace meshctl
