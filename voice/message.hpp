/// A SIP message: parsed strictly, edited as a proxy must, and written back with all that was not touched kept in its
/// order and its bytes. Our own ingress checks judge every message, sofia-sip's parser all that are not plain.
#pragma once

#include <tl/expected.hpp>

#include "voice/header.hpp"
#include "voice/header_name.hpp"

namespace voice {

inline constexpr std::size_t kMaxMessageBytes = 65535;
inline constexpr std::size_t kMaxHeaders = 256;

/// Why a message was refused. `response` is a whole answer (400, 505) to send back on the flow it came from (it goes
/// to the packet's source); it is empty where silence is right: responses, ACK, and what cannot be answered.
struct Rejected {
    std::string_view reason;  ///< static text, fit as a counter's name and as the response's reason
    net::Bytes response;
};

class Message {
public:
    Message() = default;  ///< an empty place for one: no method, no headers

    /// `bytes` is one datagram, or one framed message of a stream. Bytes behind Content-Length are ignored in a
    /// datagram (RFC 3261 18.3). `stream` demands Content-Length. `full` asks the second parser about plain ones too,
    /// which changes nothing but the time it takes.
    enum class Scrutiny : std::uint8_t { as_needed, full };
    static tl::expected<Message, Rejected> parse(net::ByteView bytes, bool stream = false,
                                                 Scrutiny scrutiny = Scrutiny::as_needed);

    /// From scratch. Headers are then added by the setters below; Max-Forwards: 70 and Content-Length come by themselves.
    static Message request(std::string_view method, const Uri& uri);
    /// RFC 3261 8.2.6: Via, From, To, Call-ID, CSeq copied (Timestamp too for 100). A To tag is added where the
    /// request had none, `to_tag` is not empty and status is not 100. An empty phrase is the RFC's own for that status.
    static Message response(const Message& request, int status, std::string_view phrase = {}, std::string_view to_tag = {});
    /// ACK for a non-2xx final response (17.1.1.3): same Request-URI, Call-ID, From, CSeq number, top Via and Route as
    /// `invite` as it was sent; To of `response`.
    static Message ack_for(const Message& invite, const Message& response);
    /// CANCEL for `invite` as it was sent (9.1): one Via, same Request-URI, Route, From, To, Call-ID, CSeq number.
    static Message cancel_for(const Message& invite);

    // --- start line
    bool is_request() const { return status_ == 0; }
    bool is_response() const { return status_ != 0; }
    const std::string& method() const { return method_; }  ///< of a response: the CSeq's
    bool is(std::string_view method) const { return is_request() && method_ == method; }
    /// The Request-URI. A URI of a scheme we do not know parses too (answer it 416).
    const Uri& uri() const { return uri_; }
    void set_uri(const Uri& uri);
    int status() const { return status_; }
    const std::string& phrase() const { return phrase_; }
    void set_status(int status, std::string_view phrase = {});

    // --- Via: the first is the top
    std::vector<Via> vias() const;
    std::optional<Via> top_via() const;
    std::size_t via_count() const;
    void push_via(const Via& via);
    void pop_via();
    void set_top_via(const Via& via);

    // --- lists of addresses: Route, Record-Route, Path, Contact, P-Asserted-Identity ...
    /// Every entry of every header of that name, in order.
    std::vector<NameAddr> addresses(std::string_view name) const;
    std::optional<NameAddr> first_address(std::string_view name) const;
    void prepend_address(std::string_view name, const NameAddr& address);  ///< above all others of that name
    void append_address(std::string_view name, const NameAddr& address);
    void pop_first_address(std::string_view name);
    void set_addresses(std::string_view name, const std::vector<NameAddr>& addresses);  ///< where the first stood
    std::vector<NameAddr> routes() const { return addresses("Route"); }
    std::vector<NameAddr> record_routes() const { return addresses("Record-Route"); }
    /// Contact: in a REGISTER "*" is one entry with `star`.
    std::vector<NameAddr> contacts() const { return addresses("Contact"); }
    void set_contacts(const std::vector<NameAddr>& contacts) { set_addresses("Contact", contacts); }

    // --- dialog
    NameAddr from() const;
    NameAddr to() const;
    std::string from_tag() const { return tag_in("From"); }
    std::string to_tag() const { return tag_in("To"); }
    void set_from(const NameAddr& from) { set("From", from.text()); }
    void set_to(const NameAddr& to) { set("To", to.text()); }
    std::string_view call_id() const { return get("Call-ID").value_or(""); }
    CSeq cseq() const;

    // --- numbers
    std::optional<std::uint32_t> max_forwards() const;
    void set_max_forwards(std::uint32_t hops) { set("Max-Forwards", std::to_string(hops)); }
    std::optional<std::uint32_t> expires_s() const;  ///< the Expires header; 2^32-1 if larger
    void set_expires_s(std::uint32_t seconds) { set("Expires", std::to_string(seconds)); }
    std::optional<std::uint32_t> retry_after_s() const;

    // --- any header, by its full name (compact forms are found too; case does not matter)
    bool has(std::string_view name) const { return get(name).has_value(); }
    /// The value of the first such header, unfolded and trimmed; borrowed until the next change.
    std::optional<std::string_view> get(std::string_view name) const;
    std::vector<std::string_view> get_all(std::string_view name) const;
    std::size_t count(std::string_view name) const;
    void set(std::string_view name, std::string_view value);  ///< replaces the first, removes the others, or appends
    void add(std::string_view name, std::string_view value);  ///< behind all others
    void prepend(std::string_view name, std::string_view value);  ///< above all others of that name (or all, if none)
    void remove(std::string_view name);
    /// Whether a list header (Supported, Require, Allow ...) has this token, ignoring case.
    bool lists(std::string_view name, std::string_view token) const;

    // --- body
    std::string_view body() const { return body_; }
    std::string_view content_type() const { return get("Content-Type").value_or(""); }
    /// True for application/sdp, whatever its parameters.
    bool has_sdp() const;
    void set_body(std::string_view content_type, std::string body);  ///< Content-Length follows
    void set_body(std::string body);                                 ///< the type stays
    void clear_body();

    net::Bytes to_bytes() const;
    std::string to_text() const;

private:
    struct Field {
        Field(std::string_view name_, std::string value_) : name(name_), value(std::move(value_)), known(header_name(name_)) {}
        bool is(std::string_view other, HeaderName id) const;  ///< `id` is header_name(other)
        std::string name;
        std::string value;
        HeaderName known;
    };
    friend class Ingress;
    std::size_t first_field(std::string_view name) const;
    std::string tag_in(std::string_view name) const;

    int status_ = 0;
    std::string method_;
    std::string request_uri_;  ///< as written, so that what is not rewritten goes out as it came
    Uri uri_;
    std::string phrase_;
    std::vector<Field> fields_;  ///< without Content-Length, which is written from the body
    std::string body_;
};

/// The reason phrase of RFC 3261 section 21 and its extensions; "Unknown" for others.
std::string_view reason_phrase(int status);

}  // namespace voice
