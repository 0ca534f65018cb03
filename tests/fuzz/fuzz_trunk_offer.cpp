// What a hostile member can say of trunks in its node record, from the bytes of the body to the Request-URI that a call by
// such a trunk would have. The first byte chooses: the body itself, or its texts, one a line.
#include <algorithm>
#include <cstdlib>

#include "mesh/bodies.hpp"
#include "mesh/crypto.hpp"
#include "net/random.hpp"
#include "voice/trunk_offer.hpp"
#include "voice/trunks.hpp"
#include "voice/uri.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

const mesh::RecordKey& record_key() {
    static const auto key = [] {
        mesh::start_crypto();
        net::SeededRandom random{1};
        const auto id = mesh::public_key(mesh::make_node_secret(random));
        return mesh::RecordKey{mesh::RecordType::node, mesh::as_subject(id.view()), id};
    }();
    return key;
}

void read(net::ByteView body) {
    if (mesh::check_cbor(body) != mesh::CborShape::good) return;  // as whoever takes a record does first
    const auto decoded = mesh::decode(record_key(), body);
    if (!decoded) return;
    const auto& info = std::get<mesh::NodeInfo>(*decoded);
    require(info.trunks.size() <= mesh::kMaxTrunks);
    for (const auto& trunk : info.trunks) {
        require(trunk.prefixes.size() <= mesh::kMaxTrunkPrefixes && trunk.name.size() <= 32);
        if (!voice::is_sound({trunk.name, trunk.prefixes, trunk.cost, trunk.emergency})) continue;
        auto uri = *voice::Uri::parse("sip:+442079460148@acme.example");
        uri.params.set(voice::kTrunkParam, trunk.name);
        const auto written = voice::Uri::parse(uri.text());
        require(written && *written == uri && written->params.all().size() == 1);
    }
}

/// Lines: a name, then its prefixes; an empty line ends a trunk.
mesh::NodeInfo told(std::string_view text) {
    mesh::NodeInfo out;
    bool begins = true;
    while (!text.empty() && out.trunks.size() < 2 * mesh::kMaxTrunks) {
        const auto line = std::string(text.substr(0, text.find('\n')));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.empty()) {
            begins = true;
        } else if (begins) {
            out.trunks.push_back({line, {}, static_cast<std::uint32_t>(line.size()), line.back() == '!'});
            begins = false;
        } else {
            out.trunks.back().prefixes.push_back(line);
        }
    }
    return out;
}

bool is_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const net::ByteView input = std::as_bytes(std::span(data + 1, size - 1));
    if (data[0] != 't') {
        read(input);
    } else if (is_text(net::as_text(input))) {  // CBOR has no other texts
        read(mesh::encode(told(net::as_text(input))));
    }
    return 0;
}
