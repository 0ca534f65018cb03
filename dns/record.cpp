#include "dns/record.hpp"

namespace dns {
namespace {

std::string dotted(const Name& name) { return name.text() + "."; }
std::string quoted(const std::string& text) { return "\"" + text + "\""; }

struct DataText {
    std::string operator()(const net::IpAddress& address) const { return address.text(); }
    std::string operator()(const Name& name) const { return dotted(name); }
    std::string operator()(const Soa& soa) const {
        return dotted(soa.primary) + " " + dotted(soa.mailbox) + " " + std::to_string(soa.serial) + " " +
               std::to_string(kRefreshS) + " " + std::to_string(kRetryS) + " " + std::to_string(kExpireS) + " " +
               std::to_string(kNegativeTtlS);
    }
    std::string operator()(const Srv& srv) const {
        return std::to_string(srv.priority) + " " + std::to_string(srv.weight) + " " + std::to_string(srv.port) + " " +
               dotted(srv.target);
    }
    std::string operator()(const Naptr& naptr) const {
        return std::to_string(naptr.order) + " " + std::to_string(naptr.preference) + " " + quoted(naptr.flags) + " " +
               quoted(naptr.services) + " " + quoted(naptr.regexp) + " " + dotted(naptr.replacement);
    }
    std::string operator()(const Here&) const { return "(the address that was asked)"; }
};

}  // namespace

std::string_view name_of(Type type) {
    switch (type) {
        case Type::a: return "A";
        case Type::ns: return "NS";
        case Type::soa: return "SOA";
        case Type::ptr: return "PTR";
        case Type::aaaa: return "AAAA";
        case Type::srv: return "SRV";
        case Type::opt: return "OPT";
        case Type::naptr: return "NAPTR";
        case Type::tkey: return "TKEY";
        case Type::tsig: return "TSIG";
        case Type::ixfr: return "IXFR";
        case Type::axfr: return "AXFR";
        case Type::any: return "ANY";
    }
    return "";
}

std::string text(const Record& record) {
    return dotted(record.owner) + " " + std::to_string(record.ttl_s) + " " + std::string(name_of(record.type)) + " " +
           std::visit(DataText{}, record.data);
}

}  // namespace dns
