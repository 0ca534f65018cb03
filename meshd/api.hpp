/// The methods of the control API: what `meshctl` asks of a running daemon.
#pragma once

#include "meshd/control.hpp"

namespace meshd {

class Daemon;

/// `daemon` must outlive `methods`.
void add_api(Methods& methods, Daemon& daemon);

// Parts, by subject.
void add_membership_api(Methods& methods, Daemon& daemon);  ///< init, invite, join, revoke, stock
void add_status_api(Methods& methods, Daemon& daemon);      ///< status, peers, members
void add_path_api(Methods& methods, Daemon& daemon);        ///< why, netcheck
void add_exit_api(Methods& methods, Daemon& daemon);        ///< exit, exit.set
void add_data_api(Methods& methods, Daemon& daemon);        ///< data, data.set
void add_voice_api(Methods& methods, Daemon& daemon);       ///< user.*, phones, calls, voice
void add_enum_api(Methods& methods, Daemon& daemon);        ///< enum
void add_dns_api(Methods& methods, Daemon& daemon);         ///< dns
void add_trunk_api(Methods& methods, Daemon& daemon);       ///< trunks

}  // namespace meshd
