/// Sections of the configuration that have a file of their own.
#pragma once

#include "meshd/config_value.hpp"

namespace meshd {

void read_trunks(const ConfigValue& value, Config& config);
void read_streams(const ConfigValue& value, Config& config);
void read_exit(const ConfigValue& value, Config& config);
void read_subnets(const ConfigValue& value, Config& config);
void read_emergency(const ConfigValue& value, Config& config);

}  // namespace meshd
