// Anything may arrive as a session description. What is accepted must still be one after it was anchored, and then say
// only our addresses where an anchor was given. Or it is a body of several parts, whose boundary is "b".
#include <cstdint>
#include <cstdlib>

#include "voice/multipart.hpp"
#include "voice/sdp.hpp"

namespace {
void require(bool held) {
    if (!held) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto session = voice::SessionDescription::parse(text);
    std::vector<voice::Anchor> anchors(32);
    for (std::size_t i = 0; i < anchors.size(); ++i) {
        const auto port = static_cast<std::uint16_t>(20000 + 2 * i);
        if (i % 3 == 2) continue;
        anchors[i].rtp = {i % 2 == 0 ? net::IpAddress::v4(203, 0, 113, 7) : *net::IpAddress::parse("fd00::7"), port};
        anchors[i].mesh = voice::MeshMedia{"NODE", {net::IpAddress::v4(10, 9, 0, 1), port}};
    }
    const auto out = voice::rewrite_sdp(text, anchors);
    require(out.has_value() == session.has_value());
    if (out) {
        const auto again = voice::SessionDescription::parse(*out);
        require(again.has_value() && again->media.size() == session->media.size());
        for (std::size_t i = 0; i < again->media.size(); ++i) {
            const auto& media = again->media[i];
            require(!media.ice && out->find("\na=group:BUNDLE ") == out->npos && out->find("\na=altc:") == out->npos);
            require(media.protocol == session->media[i].protocol && media.direction == session->media[i].direction);
            if (session->media[i].rejected()) {
                require(media.rejected() && media.mesh.empty());
            } else if (!anchors[i].rtp.is_none()) {
                require(media.rtp.port == anchors[i].rtp.port && media.held() == session->media[i].held());
                require(media.held() || media.rtp == anchors[i].rtp);
                require(media.mesh.size() == 1 && media.mesh[0] == *anchors[i].mesh);
            }
        }
        require(voice::rewrite_sdp(*out, anchors) == out);
    }
    require(voice::without_mesh_media(text).size() <= text.size());
    if (const auto part = voice::sdp_part("multipart/mixed;boundary=b", text)) {
        const auto other = voice::with_part(text, *part, "v=0\r\n");
        require(other.size() + part->text.size() <= text.size() + 5 + 20);
        require(voice::with_part(text, *part, part->text).size() <= text.size() + 20);
        const auto again = voice::sdp_part("multipart/mixed;boundary=b", other);
        require(again && again->text.starts_with("v=0"));
    }
    return 0;
}
