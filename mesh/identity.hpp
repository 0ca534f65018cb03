/// Who a node is: the keys that it keeps in 0600 files, and the mesh it belongs to.
#pragma once

#include <string>

#include "mesh/sealing.hpp"

namespace mesh {

struct NodeIdentity {
    net::NodeSecret node_secret;
    net::TunnelSecret tunnel_secret;
    net::NodeKey mesh_id;
    std::string mesh_name;
    std::optional<net::NodeSecret> root_secret;  ///< only where the mesh was made
};

}  // namespace mesh
