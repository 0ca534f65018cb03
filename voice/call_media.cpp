#include "voice/call_media.hpp"

#include <algorithm>
#include <utility>

namespace voice {

CallMedia::CallMedia(CallMedia&& from) noexcept
    : ports_(from.ports_),
      streams_(std::exchange(from.streams_, {})),
      agreed_(std::move(from.agreed_)),
      early_(std::move(from.early_)),
      far_node_(std::move(from.far_node_)),
      far_end_(from.far_end_) {}

CallMedia& CallMedia::operator=(CallMedia&& from) noexcept {
    if (this == &from) return *this;
    close();
    ports_ = from.ports_;
    streams_ = std::exchange(from.streams_, {});
    agreed_ = std::move(from.agreed_);
    early_ = std::move(from.early_);
    far_node_ = std::move(from.far_node_);
    far_end_ = from.far_end_;
    return *this;
}

std::optional<std::string> CallMedia::pass(std::string_view sdp, const From& from, const To& to, net::Now now) {
    const auto session = SessionDescription::parse(sdp);
    if (!session) return std::nullopt;
    if (streams_.size() < session->media.size()) streams_.resize(session->media.size());

    // All sockets first: half a call is none.
    for (std::size_t i = 0; i < session->media.size(); ++i) {
        const auto& media = session->media[i];
        if (streams_[i].ports.id != 0 || !media.is_relayed() || media.rejected()) continue;
        const auto opened = ports_->open(now);
        if (!opened) return std::nullopt;
        streams_[i].ports = *opened;
    }
    std::vector<Anchor> anchors(session->media.size());
    bool first = from.leg == Leg::far;
    for (std::size_t i = 0; i < session->media.size(); ++i) {
        const auto& media = session->media[i];
        auto& stream = streams_[i];
        stream.kind = media.kind;
        said(stream, from.leg) = described(media, from);
        apply(stream, now);
        if (stream.ports.id == 0 || media.rejected() || !media.is_relayed()) continue;
        const auto& remote = said(stream, from.leg).remote;
        if (std::exchange(first, false) && remote.exact && !media.held()) far_end_ = remote.rtp;
        const auto port = from.leg == Leg::near ? stream.ports.far_port : stream.ports.near_port;
        anchors[i].rtp = {to.address, port};
        if (!to.node.empty() && !to.overlay.is_none()) anchors[i].mesh = MeshMedia{to.node, {to.overlay, port}};
    }
    if (!from.dialog.empty()) {
        std::vector<Said> answer;
        for (auto& stream : streams_) answer.push_back(said(stream, from.leg));
        std::erase_if(early_, [&](const auto& one) { return one.first == from.dialog; });
        if (early_.size() < kMaxEarly) early_.emplace_back(from.dialog, std::move(answer));
    }
    return rewrite_sdp(sdp, anchors);
}

CallMedia::Said CallMedia::described(const MediaLine& media, const From& from) {
    Said out;
    out.known = true;
    out.off = media.rejected() || !media.is_relayed();
    if (out.off) return out;
    out.mux = media.rtcp_mux;
    out.only_mux = media.only_mux;
    out.sends = media.direction == Direction::sendrecv || media.direction == Direction::sendonly;
    out.receives = !media.held() && (media.direction == Direction::sendrecv || media.direction == Direction::recvonly);
    out.remote.rtp = media.rtp;
    out.remote.rtcp = media.rtcp;
    out.remote.exact = from.exact;
    if (!from.source.is_none()) out.remote.also_from.push_back(from.source.unmapped());
    if (from.believes) {
        for (const auto& mesh : media.mesh) {
            if (!from.believes(mesh.node, mesh.anchor.address)) continue;
            const net::Endpoint rtcp{mesh.anchor.address, static_cast<std::uint16_t>(mesh.anchor.port + 1)};
            out.remote = {mesh.anchor, rtcp, {}, true, Content::rtp};
            if (media.held()) out.remote.rtp.address = out.remote.rtcp.address = media.rtp.address;
            far_node_ = mesh.node;
            break;
        }
    }
    out.remote.content = media.is_fax() ? Content::fax : media.is_secure() ? Content::srtp : Content::rtp;
    return out;
}

/// Tells the relay what has changed. RTCP is on RTP's port once both sides have said that they can (RFC 5761 5.1.1): who
/// only offered it, and is not answered so, goes by two ports.
void CallMedia::apply(Stream& stream, net::Now now) {
    if (stream.ports.id == 0) return;
    for (const auto leg : {Leg::near, Leg::far}) {
        const auto& its = said(stream, leg);
        if (!its.known) continue;
        auto remote = its.off ? LegRemote{} : its.remote;
        if (its.only_mux || (its.mux && said(stream, other(leg)).mux)) remote.rtcp = remote.rtp;
        auto& set = stream.set[static_cast<std::size_t>(leg)];
        if (set == remote) continue;
        set = remote;
        ports_->set_remote(stream.ports.id, leg, remote, now);
    }
}

void CallMedia::agreed() {
    std::vector<Both> all;
    for (auto& stream : streams_) {
        if (is_off(stream.said)) close(stream);
        all.push_back(stream.said);
    }
    agreed_ = std::move(all);
    early_.clear();
}

void CallMedia::refused(net::Now now) {
    if (!agreed_) return;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
        auto& stream = streams_[i];
        if (i >= agreed_->size() || is_off((*agreed_)[i])) close(stream);
        if (i < agreed_->size()) stream.said = (*agreed_)[i];
        apply(stream, now);
    }
    streams_.resize(agreed_->size());
}

void CallMedia::choose(Leg leg, std::string_view dialog, net::Now now) {
    const auto found = std::find_if(early_.begin(), early_.end(), [&](const auto& one) { return one.first == dialog; });
    if (found == early_.end()) return;
    for (std::size_t i = 0; i < streams_.size() && i < found->second.size(); ++i) {
        said(streams_[i], leg) = found->second[i];
        apply(streams_[i], now);
    }
}

void CallMedia::close(Stream& stream) {
    if (stream.ports.id != 0) ports_->close(stream.ports.id);
    stream.ports = {};
    stream.set = {};
}

void CallMedia::close() {
    for (auto& stream : streams_) close(stream);
    streams_.clear();
}

bool CallMedia::active() const {
    return std::any_of(streams_.begin(), streams_.end(), [](const auto& stream) { return stream.ports.id != 0; });
}

bool CallMedia::expects_packets() const {
    return std::any_of(streams_.begin(), streams_.end(), [](const auto& stream) {
        return stream.ports.id != 0 && std::all_of(stream.said.begin(), stream.said.end(), [](const Said& its) {
            return !its.off && its.sends && its.receives && its.remote.content != Content::fax;
        });
    });
}

bool CallMedia::expects_audio(std::size_t stream, Leg leg) const {
    const auto& it = streams_[stream];
    const auto& from = it.said[static_cast<std::size_t>(leg)];
    const auto& to = it.said[static_cast<std::size_t>(other(leg))];
    return it.ports.id != 0 && it.kind == "audio" && !is_off(it.said) && from.known && to.known && from.sends && to.receives;
}

std::uint16_t CallMedia::far_port() const {
    const auto first = std::find_if(streams_.begin(), streams_.end(), [](const auto& stream) { return stream.ports.id != 0; });
    return first == streams_.end() ? std::uint16_t{0} : first->ports.far_port;
}

std::optional<RelayStats> CallMedia::stats(std::size_t stream) const {
    if (stream >= streams_.size() || streams_[stream].ports.id == 0) return std::nullopt;
    return ports_->stats(streams_[stream].ports.id);
}

}  // namespace voice
