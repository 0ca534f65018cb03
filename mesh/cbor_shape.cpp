// nlohmann's CBOR reader recurses with its input and accepts more than we write, so this looks first: RFC 8949 section 3.
#include "mesh/record.hpp"

namespace mesh {

CborShape check_cbor(net::ByteView body, unsigned max_nesting) {
    constexpr unsigned kLevels = 32;
    std::array<std::uint64_t, kLevels> left{};  // items still to come at each open level
    if (max_nesting > kLevels) max_nesting = kLevels;
    unsigned depth = 0;
    net::Reader reader(body);
    do {
        const std::uint8_t initial = reader.u8();
        const unsigned major = initial >> 5, info = initial & 0x1f;
        std::uint64_t argument = info;
        switch (info) {
            case 24: argument = reader.u8(); break;
            case 25: argument = reader.u16be(); break;
            case 26: argument = reader.u32be(); break;
            case 27: argument = reader.u64be(); break;
            default:
                if (info > 27) return CborShape::malformed;  // reserved, or of indefinite length
        }
        if (!reader.ok()) return CborShape::malformed;
        bool opened = false;
        switch (major) {
            case 0: case 1: break;
            case 2: case 3:
                if (argument > reader.left()) return CborShape::malformed;
                reader.bytes(static_cast<std::size_t>(argument));
                break;
            case 4: case 5: {
                if (argument > reader.left()) return CborShape::malformed;  // each item takes a byte
                const std::uint64_t items = major == 5 ? 2 * argument : argument;
                if (items > reader.left()) return CborShape::malformed;
                if (depth == max_nesting) return CborShape::too_deep;
                if (items > 0) {
                    left[depth++] = items;
                    opened = true;
                }
                break;
            }
            case 7:
                if (info < 20 || info > 22) return CborShape::malformed;  // false, true and null only
                break;
            default: return CborShape::malformed;  // tags
        }
        if (!opened) {
            while (depth > 0 && --left[depth - 1] == 0) --depth;
        }
    } while (depth > 0);
    return reader.at_end() ? CborShape::good : CborShape::malformed;
}

}  // namespace mesh
