/// What SipSockets sends: on the flow's own connection, on one that there is to the same endpoint, or on one that it opens.
#include "meshd/sip_sockets.hpp"

#include <stdexcept>

namespace meshd {

void SipSockets::send(const voice::Outgoing& outgoing) {
    if (!outgoing.flow.reliable()) {
        send_udp(outgoing);
        return;
    }
    auto id = outgoing.flow.connection;
    if (id == 0) {
        const auto known = by_remote_.find({outgoing.flow.remote, outgoing.flow.side, outgoing.flow.transport});
        if (known == by_remote_.end() || !serves(known->second, outgoing.flow)) {
            connect(outgoing);
            return;
        }
        id = known->second;
    }
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.given_up) {
        ++counters_.unsent;
        tell_failed(outgoing.flow, voice::FlowFailure::closed);
    } else if (!found->second.stream->write(outgoing.bytes)) {
        // Whoever reads so slowly that so much waits is not there any more.
        ++counters_.unsent;
        close(id, voice::FlowFailure::unanswered);
    } else {
        found->second.used = loop_.now().steady;
    }
}

std::pair<std::shared_ptr<const loop::TlsContext>, std::string> SipSockets::tls_toward(const voice::Flow& flow) {
    if (flow.side == voice::Side::centre) return {tls_centre_, tls_centre_name_};
    // Whose certificate a phone's could be nobody knows: it is reached by the connection that it opened.
    auto name = events_.tls_name && flow.side != voice::Side::phone ? events_.tls_name(flow) : std::string();
    if (name.empty()) return {};
    try {
        if (!tls_others_ && make_tls_others_) tls_others_ = make_tls_others_();
    } catch (const std::runtime_error& error) {
        tls_trouble_ = error.what();
    }
    return {tls_others_, std::move(name)};
}

bool SipSockets::serves(std::uint64_t id, const voice::Flow& flow) {
    // Two domains may stand behind one address: what one has shown says nothing of the other.
    const auto found = connections_.find(id);
    if (found == connections_.end() || !found->second.ours || flow.transport != voice::Transport::tls) return true;
    return found->second.tls_name == tls_toward(flow).second;
}

void SipSockets::connect(const voice::Outgoing& outgoing) {
    if (connections_.size() >= kMaxConnections) {
        ++counters_.unsent;
        tell_failed(outgoing.flow, voice::FlowFailure::unanswered);
        return;
    }
    const bool tls = outgoing.flow.transport == voice::Transport::tls;
    const auto [trust, name] = tls ? tls_toward(outgoing.flow) : std::pair(tls_centre_, std::string());
    if (tls && !trust) {
        ++counters_.unsent;
        tell_failed(outgoing.flow, voice::FlowFailure::unreachable);
        return;
    }
    const auto id = next_connection_++;
    auto& connection = connections_[id];
    connection.flow = outgoing.flow;
    connection.flow.connection = id;
    by_remote_[{outgoing.flow.remote, outgoing.flow.side, outgoing.flow.transport}] = id;
    ++connections_of_[outgoing.flow.remote.address].connections;
    const auto source = outgoing.flow.side == voice::Side::mesh ? outgoing.flow.local.address : net::IpAddress();
    connection.stream = loop::Stream::connect_tcp(loop_, outgoing.flow.remote, events_of(id), limits_, source);
    if (tls) {
        begin_handshake(connection);
        connection.tls_name = name;
        connection.stream->secure(std::make_unique<loop::TlsSession>(trust, name));
    }
    connection.stream->write(outgoing.bytes);
    connection.ours = true;
    connection.used = loop_.now().steady;
    sweep_by(due(connection));
}

void SipSockets::send_udp(const voice::Outgoing& outgoing) {
    const auto& [flow, bytes] = outgoing;
    const Door* door = nullptr;
    net::IpAddress source;
    if (flow.side == voice::Side::mesh) {
        const auto found = overlay_.find(flow.local.address);
        if (found != overlay_.end()) door = found->second.get();
    } else {
        const std::size_t family = flow.remote.address.is_v6() ? 1 : 0;
        if (family < doors_.size()) door = doors_[family].get();
        if (!flow.local.address.is_unspecified()) source = flow.local.address;
    }
    const auto result = door == nullptr ? loop::SendResult::unreachable : door->udp->send(flow.remote, bytes, source);
    if (result == loop::SendResult::sent) return;
    ++counters_.unsent;
    // A full buffer is a loss like any other: the transaction sends again.
    if (result != loop::SendResult::full) tell_failed(flow, voice::FlowFailure::unreachable);
}

}  // namespace meshd
