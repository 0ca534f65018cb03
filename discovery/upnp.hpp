/// The messages of UPnP that mapping a port at an Internet Gateway Device needs (UPnP Device Architecture 1.1; WANIPConnection
/// 1 and 2): bytes to values and back. Passive, as all here: a library that does the talking itself blocks, and reads what a
/// gateway sends for as long and as much as it sends.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace discovery::upnp {

/// Where a search goes to (1.3.2), besides the gateway itself.
net::Endpoint search_group();
net::Bytes search();  ///< for Internet Gateway Devices

/// "http://ADDRESS:PORT/PATH": names are not followed, as no gateway needs one for itself.
struct Url {
    net::Endpoint host;
    std::string path = "/";
    static std::optional<Url> parse(std::string_view text);
    /// What `reference` means in a document that was found here: absolute or relative. Nullopt as for parse().
    std::optional<Url> relative(std::string_view reference) const;
    bool operator==(const Url&) const = default;
};
/// Where an answer to a search says that the device is described; nullopt if it is none.
std::optional<Url> location_of(net::ByteView answer);

/// A service that maps ports, as a description names it.
struct Service {
    std::string type;
    Url control;
};
inline constexpr std::size_t kMaxServices = 4;
/// WANIPConnection first, then WANPPPConnection.
std::vector<Service> services_of(std::string_view description, const Url& from);

/// An HTTP answer (RFC 9112), its body put together where it came in chunks.
struct HttpAnswer {
    unsigned status = 0;
    std::string body;
};
/// Nullopt while it is not whole; `ended`: no more will come. `broken` is set where it never will be.
std::optional<HttpAnswer> parse_http(net::ByteView bytes, bool ended, bool& broken);

net::Bytes get(const Url& url);
struct Argument {
    std::string_view name;
    std::string value;  ///< digits, dots and letters: nothing that XML would have to escape
};
net::Bytes call(const Service& service, std::string_view action, const std::vector<Argument>& arguments);

/// The text of the first element of this name, whatever its prefix; nullopt if there is none.
std::optional<std::string> element(std::string_view xml, std::string_view name);

}  // namespace discovery::upnp
