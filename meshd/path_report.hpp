/// What `meshctl why` and `meshctl netcheck` are told: the facts of a node, gathered and judged, as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "meshd/path_advice.hpp"

namespace meshd {

/// Of a member, or of this node, or of a stock peer ("kind"). Null if nobody belongs to the mesh by that key.
nlohmann::json why_json(const mesh::Node& node, const net::NodeKey& key, net::Now now);
/// `mapped`: a gateway maps our port, and others are told where.
nlohmann::json netcheck_json(const mesh::Node& node, bool mapped, net::Now now);

/// Of the peers, that one's way: where it leads in words a person knows ("endpoint", "relay", "stream") and its "rank".
void put_way(const mesh::Node& node, const mesh::PeerReport& peer, nlohmann::json& out);

/// The way to a member that is up, in words: "at 192.0.2.1:51820", "through NAME", "by TLS, at 192.0.2.1:443".
std::string way_in_words(const mesh::Node& node, const mesh::PeerUp& up, net::Now now);

}  // namespace meshd
