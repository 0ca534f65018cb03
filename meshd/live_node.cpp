#include "meshd/live_node.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

#include "loop/interfaces.hpp"
#include "loop/underlay_mark.hpp"
#include "meshd/dns_service.hpp"
#include "meshd/nft.hpp"
#include "meshd/path_report.hpp"
#include "meshd/saved_calls.hpp"
#include "meshd/saved_phones.hpp"
#include "meshd/trunk_password.hpp"
#include "meshd/warnings.hpp"

namespace meshd {
namespace {

// What belongs together comes within this, and a network that never rests is looked at this often.
constexpr auto kGatherChanges = std::chrono::milliseconds(10);
constexpr auto kLookEvery = std::chrono::milliseconds(150);
constexpr auto kRestoreAgain = std::chrono::seconds(1);  // what the kernel has refused
constexpr auto kRetrySegmentsEvery = std::chrono::minutes(5);
constexpr auto kResolveCentreEvery = std::chrono::minutes(5);
constexpr auto kResolveCentreAgain = std::chrono::seconds(10);
constexpr const char* kStampValue = "stamp";
constexpr const char* kCentreValue = "centre";
constexpr const char* kMappingSecretValue = "port mapping secret";
constexpr std::size_t kMappingSecretBytes = 32;
constexpr const char* kMasqueradeValue = "masquerade";  ///< there while nft may hold rules of ours
constexpr std::string_view kPhonePrefix = "phone:";

voice::Transport transport_of(const Centre& centre) {
    if (centre.tls) return voice::Transport::tls;
    return centre.tcp.value_or(false) ? voice::Transport::tcp : voice::Transport::udp;
}

template <class T>
T unwrap(net::Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
}

mesh::Tai64n stamp_of(const StoredState& state) {
    const auto found = state.values.find(kStampValue);
    if (found == state.values.end()) return {};
    return mesh::Tai64n::from(net::ByteView(found->second)).value_or(mesh::Tai64n{});
}

std::vector<net::Endpoint> endpoints_of(const StoredState& state, const char* name) {
    std::vector<net::Endpoint> out;
    const auto found = state.values.find(name);
    if (found == state.values.end()) return out;
    for (auto text = net::as_text(found->second); !text.empty();) {
        const auto end = std::min(text.find('\n'), text.size());
        if (const auto endpoint = net::Endpoint::parse(text.substr(0, end))) out.push_back(*endpoint);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

// A superpacket is to leave in one send of UDP_SEGMENT: as many segments as fit there. The kernel takes its largest
// TCP header (MAX_TCP_HEADER) off what it is told.
unsigned largest_superpacket_bytes(unsigned mtu_bytes) {
    constexpr std::size_t kIpAndTcpBytes = 52, kLargestHeaderBytes = 400;
    const auto sent_bytes = mesh::padded_bytes(mtu_bytes, mtu_bytes) + mesh::kMinDataBytes;
    const auto segments = std::min(loop::SendBurst::kMostSegmentedBytes / sent_bytes, loop::SendBurst::kMostSegments);
    return static_cast<unsigned>(segments * (mtu_bytes - kIpAndTcpBytes) + kLargestHeaderBytes);
}

tun::Device::Settings device_settings(const Config& config, std::size_t queues) {
    tun::Device::Settings settings;
    settings.name = config.device;
    settings.mtu_bytes = config.mtu_bytes;
    settings.queues = static_cast<unsigned>(queues);
    settings.offloads = config.data.tun_offloads;
    settings.gso_max_bytes = largest_superpacket_bytes(config.mtu_bytes);
    return settings;
}

}  // namespace

net::Bytes to_value(const std::vector<net::Endpoint>& endpoints) {
    std::string text;
    for (const auto& endpoint : endpoints) text += endpoint.text() + "\n";
    return net::copy(net::as_bytes(text));
}

LiveNode::LiveNode(loop::Loop& loop, const Config& config, Store& store, StoredState state, net::Random& random)
    : loop_(loop),
      config_(config),
      store_(store),
      random_(random),
      started_(loop.now().steady),
      timer_(loop,
             [this] {
                 core_->tick(loop_.now());
                 pump();
             }),
      network_timer_(loop, [this] { network_changed(); }),
      restore_timer_(loop, [this] { restore_ours(); }),
      centre_timer_(loop, [this] { resolve_centre(); }),
      segments_timer_(loop, [this] { retry_segments(); }),
      offered_subnets_(config.subnets) {
    DataThreads::Settings underlay;
    underlay.port = config_.listen_port;
    const std::size_t processors = std::thread::hardware_concurrency();
    underlay.single = config_.data.single_thread || processors == 1;
    underlay.queues = config_.data.queues.value_or(std::clamp<std::size_t>(processors / 2, 1, mesh::kMaxQueues));
    underlay.udp_offloads = config_.data.udp_offloads;
    underlay.dscp = config_.data.dscp;
    underlay.uplink_bytes_per_s = config_.data.uplink_bit_per_s / 8;
    underlay.wake = [this, alive = alive_] {
        loop_.post([this, alive] {
            if (*alive) take_upward();
        });
    };
    threads_ = std::make_unique<DataThreads>(underlay);
    device_ = unwrap(tun::Device::open(device_settings(config_, threads_->device_queues())));
    addressing_ = unwrap(tun::Addressing::open(device_->index()));
    exit_routing_ = unwrap(tun::ExitRouting::open(device_->index(), {loop::kUnderlayMark, loop::kUnderlayMask}));
    // What a crash has left, unless it goes on being used: nothing shall go beside the mesh in between. Only who may not
    // touch rules at all cannot, and will make none.
    const auto removed = config_.exit.empty() ? exit_routing_->remove() : net::Result<void>();
    if (!removed) spdlog::debug("{}", removed.error().message);
    Masquerade::Settings nft;
    nft.nft = run_nft;
    nft.told = [](const std::string& why) { spdlog::error("{}", why); };
    masquerade_ = std::make_unique<Masquerade>(device_->name(), std::move(nft));
    if (state.values.contains(kMasqueradeValue)) masquerade_->left_behind();
    watch_ = unwrap(tun::NetworkWatch::open(device_->index()));
    watch_fd_ = std::make_unique<loop::FdWatch>(loop_, watch_->fd(), [this](loop::Readiness) {
        const auto change = watch_->take();
        if (change.any()) look_at_network();
        if (change.ours) ours_was_taken();
    });
    watch_fd_->want(true, false);
    clock_watch_ = std::make_unique<loop::ClockWatch>(loop_, [this](const loop::ClockChange& change) { clock_changed(change); });

    mesh::NodeSettings settings;
    settings.listen_port = threads_->port();
    settings.local_endpoints = local_endpoints_ = own_addresses(device_->name(), threads_->port()).endpoints;
    settings.attached = attached();
    settings.mapped = offered_subnets_.mapped();
    settings.advertise = config_.advertise;
    settings.sends_trains = config_.data.udp_offloads;
    settings.relay_total_bytes_per_s = config_.data.relay_total_bit_per_s() / 8;
    settings.aes = config_.data.aes && mesh::has_aes_hardware();
    for (const auto& endpoint : endpoints_of(state, kAdvertiseValue)) settings.advertise.push_back(endpoint);
    std::optional<CoreVoice> voice;
    if (config_.voice.enabled) {
        media_ = std::make_unique<MediaThread>(
            MediaThread::Settings{config_.voice.first_media_port, config_.voice.last_media_port, config_.voice.most_streams()});
        voice.emplace();
        voice->port = config_.voice.port;
        voice->tls_port = config_.voice.tls.port;
        voice->media = media_.get();
        voice->local_toward = [this](const net::IpAddress& remote) { return local_toward(remote); };
        auto& proxy = voice->settings;
        proxy.domain = config_.voice.domain.value_or("");
        proxy.phones = config_.voice.phones;
        proxy.expires = config_.voice.expires;
        proxy.outage_expires = config_.voice.outage_expires;
        proxy.digests.clear();
        for (const auto digest : config_.voice.digests) proxy.digests.push_back(static_cast<voice::DigestAlgorithm>(digest));
        proxy.direct_media = config_.voice.direct_media;
        proxy.max_calls = config_.voice.most_calls();
        proxy.centre_times.hold_down = config_.voice.hold_down;
        proxy.dial_plan = voice::DialPlan(config_.voice.dial_plan);
        proxy.names.locate.transports = {voice::Transport::udp, voice::Transport::tcp, voice::Transport::tls};
        proxy.names.suffixes = config_.voice.enum_lookup.suffixes;
        proxy.outside = config_.voice.enum_lookup.use;
        proxy.emergency = config_.voice.emergency;
        for (const auto& trunk : config_.voice.trunks) {
            proxy.trunks.push_back(trunk.settings);
            if (!trunk.password_file.empty()) proxy.trunks.back().password = trunk_password(trunk.password_file);
        }
        if (const auto& centre = config_.voice.centre) {
            // A name is resolved below; until then the centre is where it was last time, or nowhere, which is down.
            net::Endpoint endpoint;
            if (const auto known = state.values.find(kCentreValue); known != state.values.end()) {
                endpoint = net::Endpoint::parse(net::as_text(known->second)).value_or(net::Endpoint{});
            }
            if (const auto address = net::IpAddress::parse(centre->host)) {
                endpoint = {*address, centre->port.value_or(voice::default_port(transport_of(*centre)))};
            }
            proxy.centre = voice::Centre{transport_of(*centre), endpoint};
        }
    }
    const auto stamp = stamp_of(state);
    core_ = std::make_unique<Core>(std::move(*state.identity), state.records,
                                   stamp == mesh::Tai64n{} ? std::nullopt : std::optional(stamp), random_, settings,
                                   std::move(voice), loop_.now());
    core_->node().wireguard().set_mtu(config_.mtu_bytes);
    settle_offer();
    settle_masquerade();
    if (!config_.exit.empty()) {
        // Rather no meshd than one that says it has an exit, while all goes beside it.
        if (const auto done = set_exit(config_.exit); !done) {
            throw std::runtime_error(done.error().message + "; or take \"exit\" out of meshd.json");
        }
    }
    for (const auto& [key, says] : core_->node().view().gone) gone_.insert(key);
    settle_device();
    const auto offloads = device_->offloads();
    threads_->start(device_->queues(), {.tcp = offloads.tcp, .udp = offloads.udp});
    if (!device_->steering_trouble().empty()) {
        spdlog::info("voice shares the device's queue with all else: {}", device_->steering_trouble());
    }
    resolver_ = std::make_unique<loop::Resolver>(loop_);
    if (config_.voice.enabled) {
        start_voice();
        restore_phones(state.values);
        for (const auto& saved : saved_answers_.restore(state.values)) {
            core_->proxy()->restore_dns(saved.question, saved.message, saved.at, loop_.now());
        }
        restore_calls(state.values);
        accounts_ = std::make_unique<CallAccounts>(loop_, *core_->proxy());
    }
    if (config_.dns.enabled) {
        dns_ = std::make_unique<DnsService>(loop_, config_, core_->node(), static_cast<std::uint32_t>(device_->index()));
    }
    discovery_ = std::make_unique<LiveDiscovery>(loop_, config_, core_->node(), random_, *resolver_, threads_->port(),
                                                 device_->name(), [this] { pump(); });
    streams_ = std::make_unique<LiveStreams>(loop_, config_.streams, core_->node(), random_, *resolver_, [this] { pump(); });
    streams_->network_changed(own_addresses(device_->name(), threads_->port()));
    further_sockets_ = std::make_unique<FurtherSockets>(loop_, [this](net::MutableBytes bytes, const net::Endpoint& from) {
        core_->node().receive(bytes, from, loop_.now());
        pump();
    });
    surroundings_ = surroundings();
    if (config_.port_mapping) map_port(state);
    for (const auto& [key, cached] : state.endpoints) {
        core_->node().add_candidate(key, cached.endpoint, mesh::Source::cache, loop_.now());
    }
    const auto not_allowed = offered_subnets_.not_allowed(core_->node().self().says.subnets);
    for (const auto& warning : warnings_of(core_->node(), {{}, ip_forwarding(), strict_interfaces(device_->name()), not_allowed})) {
        if (warning != standing_in_words(core_->node())) spdlog::warn("{}", warning);  // that one is told as it changes
    }
    core_->tick(loop_.now());
    pump();
}

void LiveNode::set_offloads(std::optional<bool> tun, std::optional<bool> udp) {
    if (tun) {
        (void)device_->set_offloads(*tun ? device_->available() : tun::Offloads{});
        const auto now_on = device_->offloads();
        threads_->set_coalescing(now_on.tcp, now_on.udp);
        for (const auto* const what : {"joined TCP", "joined UDP"}) complained_.erase(what);
    }
    if (udp) {
        threads_->set_udp_offloads(*udp);
        core_->node().set_sends_trains(*udp, loop_.now());
    }
    pump();
}

/// What the data threads have switched off by themselves since.
void LiveNode::look_at_offloads() {
    if (threads_->udp_offloads() && !threads_->sends_segments() && !segments_wait_) {
        segments_wait_ = true;
        segments_timer_.after(kRetrySegmentsEvery);
        if (complained_.insert("segments").second) {
            spdlog::warn("the kernel refuses to send many datagrams at once by the interface that they leave by, so they go "
                         "one by one, which is slower; \"ethtool -K INTERFACE tx on\" may mend that. It is tried again every "
                         "few minutes; \"udp_offloads\": false in \"data\" ends that");
        }
    }
    const auto device = device_->offloads();
    const auto refused = [&](bool given, bool joins, const char* what) {
        if (!given || joins || !complained_.insert(std::string("joined ") + what).second) return;
        spdlog::warn("the kernel refuses {} packets joined for the device {}, so they are given one by one; \"meshctl data "
                     "--tun-offloads on\" tries again", what, device_->name());
    };
    refused(device.tcp, threads_->joins_tcp(), "TCP");
    refused(device.udp, threads_->joins_udp(), "UDP");
}

void LiveNode::retry_segments() {
    segments_timer_.cancel();
    segments_wait_ = false;
    threads_->retry_segments();
}

LiveNode::~LiveNode() {
    *alive_ = false;
    store_untold_phones();
    core_->node().leave(loop_.now());
    if (streams_) {
        send(core_->node().take_datagrams());
        streams_->flush();
        streams_.reset();
    }
    dns_.reset();
    port_mapping_.reset();
    discovery_.reset();
    if (const auto removed = exit_routing_->remove(); !removed) spdlog::warn("{}", removed.error().message);
    masquerade_.reset();
    threads_->stop();
    if (addressing_) {
        if (const auto cleared = addressing_->clear(); !cleared) spdlog::warn("{}", cleared.error().message);
    }
}

void LiveNode::start_voice() {
    sip_ = std::make_unique<SipSockets>(
        loop_, config_.voice.port,
        SipSockets::Events{[this](const voice::Flow& flow, net::ByteView bytes) {
                               core_->proxy()->receive(flow, bytes, loop_.now());
                               pump();
                           },
                           [this](const voice::Flow& flow) { return core_->proxy()->listens_to(flow); },
                           [this](const voice::Flow& flow, voice::FlowFailure why) {
                               core_->proxy()->flow_failed(flow, why, loop_.now());
                               pump();
                           },
                           [this](bool overloaded) {
                               spdlog::log(overloaded ? spdlog::level::warn : spdlog::level::info,
                                           overloaded ? "more SIP comes than can be served: new requests are answered 503"
                                                      : "SIP is served again as it comes");
                               core_->proxy()->set_overloaded(overloaded);
                           },
                           [this](const voice::Flow& flow) { return core_->proxy()->tls_name(flow); },
                           [this](const net::IpAddress& address) { return core_->proxy()->phones_at(address); }});
    sip_->set_tls_others([this] { return tls_to_others(config_.voice.tls); });
    names_ = std::make_unique<NameService>(loop_, config_.voice.enum_lookup.servers, *core_->proxy(), [this] { pump(); });
    const auto& tls = config_.voice.tls;
    if (tls.listens) {
        const auto& domain = config_.voice.domain;
        const auto ours = core_->node().mesh_name() + ".internal";
        sip_tls_ = std::make_unique<SipTls>(
            tls, store_.folder(), std::vector{domain.value_or(ours), core_->node().self().says.name + "." + ours});
        sip_->listen_tls(tls.port, [this] { return sip_tls_->context(loop_.now()); });
        spdlog::info("SIP over TLS on port {}, certificate SHA-256 {}", tls.port, sip_tls_->fingerprint());
    }
    if (const auto& centre = config_.voice.centre; centre && centre->tls) {
        sip_->set_tls_centre(tls_to_centre(tls), centre->host);
    }
    set_sip_overlay();
    const auto port = config_.voice.port;
    core_->node().set_phones({port, port, tls.listens ? tls.port : std::uint16_t{0}}, loop_.now());
    resolve_centre();
}

void LiveNode::set_sip_overlay() {
    sip_->set_overlay(core_->node().self().says.addresses, static_cast<std::uint32_t>(device_->index()));
}

void LiveNode::take_upward() {
    const auto now = loop_.now();
    auto upward = threads_->take();
    auto& node = core_->node();
    if (upward.tick) node.tick(now);
    for (auto& frame : upward.frames) node.receive_control(frame.peer, frame.bytes, frame.from, now);
    for (auto* const packets : {&upward.voice, &upward.packets}) {
        for (auto& packet : *packets) node.send_ip(packet.bytes, now);
    }
    for (const auto& news : upward.too_big) node.told_too_big(news.to, news.underlay_bytes, now);
    for (auto& handshake : upward.handshakes) {
        node.receive_handshake(handshake.bytes, handshake.from, now, upward.under_load);
    }
    pump();
}

void LiveNode::pump() {
    if (pumping_) return;  // whoever called from inside is served by the loop below
    pumping_ = true;
    const auto now = loop_.now();
    auto& node = core_->node();
    core_->settle(now);
    store_durable();
    // The table first: on a LAN the answer is here before we are back, and it must be known what it answers.
    if (auto table = node.table(); table != table_) {
        table_ = table;
        threads_->swap_table(std::move(table));
    }
    send(node.take_datagrams());
    auto packets = node.take_packets();
    if (!packets.empty()) threads_->deliver(packets);
    if (const bool unstored = node.stamps_are_unstored(); unstored != std::exchange(stamps_unstored_, unstored)) {
        if (unstored) {
            spdlog::error("{}", kStampsAreUnstored);
        } else {
            spdlog::info("what handshakes need over a restart is on the disk again");
        }
    }
    on_events();
    if (sip_) {
        for (const auto& outgoing : core_->proxy()->take_outgoing()) sip_->send(outgoing);
        names_->pump();
        store_mail();
        Batch batch;
        batch.values = core_->proxy()->take_lamps();
        for (const auto& learnt : core_->proxy()->take_dns_learnt()) {
            batch.values.merge(saved_answers_.keep(learnt.question, learnt.message, now.wall));
        }
        if (!batch.values.empty()) store_.submit(std::move(batch), Durability::written);
    }
    look_at_offloads();
    pumping_ = false;
    timer_.at(core_->next_deadline());
}

void LiveNode::send(std::span<const mesh::Datagram> datagrams) {
    const auto now = loop_.now();
    auto& node = core_->node();
    for (auto i = datagrams.begin(); i != datagrams.end();) {
        const auto train = i->train;
        if (train == 0) {
            const auto way = mesh::VirtualEndpoint::of(i->to);
            const bool fits = !way ? threads_->send(*i)
                              : way->kind == mesh::VirtualEndpoint::Kind::stream ? streams_->send(*i)
                                                                                 : further_sockets_->send(*i);
            if (!fits) node.refused(*i, now);  // what follows from it is due in the next turn
            ++i;
            continue;
        }
        const auto end = std::find_if(i, datagrams.end(), [&](const auto& one) { return one.train != train; });
        if (mesh::is_virtual(i->to) || !threads_->send_train({i, end})) node.not_in_one_send(*i, now);
        i = end;
    }
    const auto passed_on = node.passed_on_bytes();
    threads_->spend(passed_on - std::exchange(spent_for_others_, passed_on));
}

void LiveNode::store_durable() {
    auto durable = core_->node().take_durable();
    if (!durable) return;
    Batch batch;
    for (auto& record : durable->records) batch.records[std::move(record.key)] = std::move(record.wire);
    if (durable->stamp) {
        const auto bytes = durable->stamp->bytes();
        batch.values[kStampValue] = net::Bytes(bytes.begin(), bytes.end());
    }
    const auto durability = durable->sync ? Durability::synced : Durability::written;
    store_.submit(std::move(batch), durability, [this, alive = alive_, id = durable->id] {
        if (!*alive) return;
        core_->node().durable(id, loop_.now());
        pump();
    });
}

void LiveNode::on_events() {
    for (const auto& event : core_->take_node_events()) {
        const bool roster = std::holds_alternative<mesh::RosterChanged>(event);
        const bool named = roster || std::holds_alternative<mesh::PeerUp>(event) || std::holds_alternative<mesh::PeerDown>(event);
        if (named && dns_) dns_->changed(roster);
        if (const auto* up = std::get_if<mesh::PeerUp>(&event)) {
            spdlog::info("{} is up, {}", core_->node().name_of(up->key), way_in_words(core_->node(), *up, loop_.now()));
        } else if (const auto* down = std::get_if<mesh::PeerDown>(&event)) {
            spdlog::info("{} is down", down->name);
        } else if (std::holds_alternative<mesh::RoutesChanged>(event)) {
            settle_device();
        } else if (std::holds_alternative<mesh::RosterChanged>(event)) {
            if (core_->node().self().says.subnets != allowed_) settle_offer();
            settle_masquerade();
            if (discovery_) discovery_->follow_key();
            tell_who_is_gone();
        } else if (const auto* good = std::get_if<mesh::EndpointGood>(&event)) {
            if (good->endpoint.address.is_link_local()) continue;  // its interface's number may mean another next time
            Batch batch;
            batch.endpoints[good->key] = CachedEndpoint{good->tunnel_key, good->endpoint, loop_.now().wall};
            store_.submit(std::move(batch), Durability::written);
        } else if (const auto* moved = std::get_if<mesh::OwnerChanged>(&event)) {
            spdlog::info("{} is reached through {} now", moved->subnet.text(), moved->name);
        } else if (const auto* harmful = std::get_if<mesh::TrainsHarmful>(&event)) {
            if (!complained_.insert("trains to " + harmful->name).second) continue;
            spdlog::warn("datagrams sent many at once do not reach {}, those sent alone do: this kernel or a driver does it "
                         "wrong. To {} they go one by one from now on; meshctl data --udp-offloads on tries again",
                         harmful->name, harmful->name);
        } else if (const auto* wanted = std::get_if<mesh::StreamWanted>(&event)) {
            streams_->wanted(*wanted);
        } else if (const auto* unwanted = std::get_if<mesh::StreamUnwanted>(&event)) {
            streams_->unwanted(*unwanted);
        } else if (const auto* sockets = std::get_if<mesh::SocketsWanted>(&event)) {
            const auto opened = further_sockets_->open(sockets->count);
            core_->node().sockets_opened(opened.first, opened.count, loop_.now());
        } else if (const auto* idle = std::get_if<mesh::SocketsUnwanted>(&event)) {
            further_sockets_->close(idle->sockets);
        } else if (const auto* proven = std::get_if<mesh::StreamProven>(&event)) {
            streams_->proven(*proven);
        } else if (const auto* work = std::get_if<mesh::TrainsWork>(&event)) {
            complained_.erase("trains to " + work->name);
            spdlog::info("datagrams sent many at once reach {} again", work->name);
        } else if (std::holds_alternative<mesh::StandingChanged>(event)) {
            if (const auto words = standing_in_words(core_->node()); !words.empty()) {
                spdlog::error("{}", words);
            } else {
                spdlog::info("the record of this node, {}, counts again", core_->node().self().says.name);
            }
        } else if (const auto* admitted = std::get_if<mesh::Admitted>(&event)) {
            spdlog::info("{} has joined", admitted->name);
        } else if (const auto* refused = std::get_if<mesh::Refused>(&event)) {
            const auto why = "refused a record: " + std::string(mesh::text(refused->why));
            if (complained_.insert(why).second) spdlog::warn("{} (the next ones of that kind are only counted)", why);
        }
    }
    std::set<voice::Aor> changed_phones;
    Batch calls;
    for (const auto& event : core_->take_voice_events()) {
        if (const auto* binding = std::get_if<voice::BindingChanged>(&event)) {
            changed_phones.insert(binding->aor);
        } else if (const auto* mode = std::get_if<voice::ModeChanged>(&event)) {
            spdlog::info("voice: {} ({})", mode->mode, mode->why);
            if (mode->mode == "island") resolve_centre();  // it may have moved, or have another address
        } else if (const auto* trunk = std::get_if<voice::TrunkChanged>(&event)) {
            spdlog::log(trunk->up ? spdlog::level::info : spdlog::level::warn, "trunk {}: {}", trunk->name,
                        trunk->up ? "it is up" : trunk->why);
        } else if (const auto* started = std::get_if<voice::CallStarted>(&event)) {
            spdlog::info("call from {} to {}, {}", started->call.from, started->call.to, started->call.path);
        } else if (const auto* audio = std::get_if<voice::AudioChanged>(&event)) {
            const auto& call = audio->call;
            if (call.audio.empty()) {
                spdlog::info("call from {} to {}: both are heard again", call.from, call.to);
            } else {
                spdlog::warn("call from {} to {}: {}", call.from, call.to, call.audio);
            }
        } else if (const auto* ended = std::get_if<voice::CallEnded>(&event)) {
            spdlog::info("call from {} to {} has ended: {}", ended->call.from, ended->call.to, ended->why);
        } else if (const auto* asked = std::get_if<voice::AccountsAsked>(&event)) {
            if (accounts_) accounts_->asked(*asked);
        } else if (const auto* told = std::get_if<voice::AccountsTold>(&event)) {
            if (accounts_) accounts_->told(*told);
        } else if (const auto* recorded = std::get_if<voice::CallRecorded>(&event)) {
            calls.values[name_of_saved_call(recorded->number)] = recorded->record ? to_value(*recorded->record) : net::Bytes();
        }
    }
    if (!calls.empty()) store_.submit(std::move(calls), Durability::written);
    if (!changed_phones.empty()) store_phones(changed_phones);
}

void LiveNode::tell_who_is_gone() {
    for (const auto& [key, says] : core_->node().view().gone) {
        if (gone_.insert(key).second && key != core_->node().key()) spdlog::info("{} has been revoked", says.name);
    }
}

void LiveNode::settle_device() {
    auto config = core_->node().device();
    tun::Wanted wanted;
    for (const auto& prefix : config.addresses) wanted.addresses.push_back(prefix.address());
    wanted.routes = config.routes;
    const auto outcome = addressing_->reconcile(wanted);
    if (!outcome) {
        spdlog::error("{}", outcome.error().message);
        return;
    }
    for (const auto& attached : outcome->attached) {
        if (complained_.insert(attached.text()).second) {
            spdlog::info("{} is attached to this machine, so the mesh's route to it is not used", attached.text());
        }
    }
    for (const auto& error : outcome->refused) {
        if (complained_.insert(error.message).second) spdlog::warn("{}", error.message);
    }
    const bool addresses_changed = !device_config_ || device_config_->addresses != config.addresses;
    device_config_ = std::move(config);
    if (addresses_changed && sip_) set_sip_overlay();
    if (addresses_changed && dns_) dns_->follow_addresses();
}

LiveNode::Surroundings LiveNode::surroundings() {
    auto gateways = tun::default_gateways(device_->index());
    if (!gateways && complained_.insert(gateways.error().message).second) spdlog::warn("{}", gateways.error().message);
    auto ours = own_addresses(device_->name(), threads_->port());
    return {std::move(ours.on_links), std::move(ours.without_carrier), gateways ? std::move(*gateways) : std::vector<tun::Gateway>()};
}

/// Soon, but a network that changes all the time does not put it off.
void LiveNode::look_at_network() {
    if (std::exchange(network_news_, true)) return;
    network_timer_.at(std::max(loop_.now().steady + kGatherChanges, looked_at_network_ + kLookEvery));
}

/// At once, but against somebody who goes on taking it away no more often than the network is looked at.
void LiveNode::ours_was_taken() {
    const auto due = restored_at_ + kLookEvery;
    if (due <= loop_.now().steady) return restore_ours();
    restore_timer_.at(std::min(due, restore_timer_.deadline()));
}

void LiveNode::restore_ours() {
    restore_timer_.cancel();
    restored_at_ = loop_.now().steady;
    if (!core_) return;  // still starting: all of it is to come
    if (!core_->node().exit().empty()) {
        const auto held = exit_routing_->hold();
        note_exit(held);
        if (!held) restore_timer_.after(kRestoreAgain);
        if (held && held->put > 0 && complained_.insert("exit taken away").second) {
            spdlog::warn("another program, or somebody, has taken away rules or routes of the way through {}; they have been "
                         "put back, as they will be from now on without a word", core_->node().exit());
        }
    }
    settle_device();
}

/// What was thought of the way to the exit is this now.
void LiveNode::note_exit(const net::Result<tun::ExitRouting::Held>& held) {
    exit_troubles_.clear();
    if (!held) {
        exit_troubles_.push_back(held.error().message + ": what goes to the Internet may go there directly. It is tried again "
                                 "every second; meshctl exit off ends that");
    } else {
        for (const auto& why : held->closed) exit_troubles_.push_back(why.message);
    }
    for (const auto& trouble : exit_troubles_) {
        if (complained_.insert(trouble).second) spdlog::warn("{}", trouble);
    }
}

/// While it slept its peers, and the gateways, went on without it.
void LiveNode::clock_changed(const loop::ClockChange& change) {
    const auto seconds = [](net::Duration time) { return std::chrono::duration_cast<std::chrono::seconds>(time).count(); };
    if (change.slept != net::Duration{}) spdlog::info("this machine has slept for {} s", seconds(change.slept));
    if (change.stepped != net::Duration{}) spdlog::info("the clock of this machine was set by {} s", seconds(change.stepped));
    surroundings_.reset();  // it may be somewhere else that looks the same
    core_->tick(loop_.now());
    network_news_ = true;
    network_changed();
}

void LiveNode::network_changed() {
    spdlog::debug("the network has changed");
    const auto now = loop_.now();
    network_news_ = false;
    looked_at_network_ = now.steady;
    toward_.clear();
    retry_segments();  // what leaves may leave by another interface now
    settle_device();
    core_->node().set_attached(attached(), now);
    settle_offer();
    const auto ours = own_addresses(device_->name(), threads_->port());
    // Not all news is: a route to somewhere, an address that stays for longer.
    if (auto seen = surroundings(); seen != surroundings_) {
        surroundings_ = std::move(seen);
        if (ours.endpoints != local_endpoints_) {
            local_endpoints_ = ours.endpoints;
            core_->node().set_local_endpoints(ours.endpoints, now);
        } else {
            core_->node().network_changed(now);
        }
        discovery_->network_changed(ours);
        streams_->network_changed(ours);
        if (port_mapping_) follow_gateways();
    }
    if (dns_) dns_->follow_addresses();
    if (config_.voice.enabled) resolve_centre();
    pump();
}

/// A gateway that knew us before a restart must see the same secret, or it keeps the mapping for a program that is gone.
void LiveNode::map_port(const StoredState& state) {
    net::Bytes secret;
    if (const auto known = state.values.find(kMappingSecretValue); known != state.values.end()) secret = known->second;
    if (secret.size() != kMappingSecretBytes) {
        secret.resize(kMappingSecretBytes);
        random_.fill(secret);
        Batch batch;
        batch.values[kMappingSecretValue] = secret;
        store_.submit(std::move(batch), Durability::written);
    }
    port_mapping_ = std::make_unique<LivePortMapping>(loop_, random_, threads_->port(), std::move(secret),
                                                      [this](std::vector<net::Endpoint> endpoints) {
                                                          core_->node().set_mapped(std::move(endpoints), loop_.now());
                                                          pump();
                                                      });
    follow_gateways();
}

void LiveNode::follow_gateways() {
    std::vector<net::Endpoint> endpoints;
    for (const auto& [address, interface] : surroundings_->gateways) {
        endpoints.push_back({address, 0, address.is_v6() && address.is_link_local() ? interface : 0});
    }
    port_mapping_->set_gateways(endpoints);
}

std::vector<discovery::MappingReport> LiveNode::port_mappings() const {
    return port_mapping_ ? port_mapping_->reports() : std::vector<discovery::MappingReport>();
}

void LiveNode::release_port_mappings(std::function<void()> done) {
    if (!port_mapping_) return done();
    port_mapping_->release(std::move(done));
}

std::vector<net::Prefix> LiveNode::attached() const {
    auto networks = tun::attached_networks(device_->index());
    if (networks) return std::move(*networks);
    // The device's own look at the same networks, in settle_device(), still keeps routes to them out of the kernel.
    spdlog::warn("{}", networks.error().message);
    return {};
}

void LiveNode::settle_offer() {
    const auto networks = tun::networks(device_->index());
    if (!networks) return spdlog::warn("{}", networks.error().message);  // it stays as it was
    allowed_ = core_->node().self().says.subnets;
    auto offered = offered_subnets_.now(allowed_, *networks);
    for (const auto& subnet : allowed_) {
        if (std::find(offered.begin(), offered.end(), subnet) == offered.end()) {
            if (!withdrawn_.insert(subnet).second) continue;
            spdlog::warn("{} is not offered to the mesh: its network is not attached, or \"subnets\" leaves it out", subnet.text());
        } else if (withdrawn_.erase(subnet) > 0) {
            spdlog::info("{} is offered to the mesh again", subnet.text());
        }
    }
    core_->node().set_offered(std::move(offered), loop_.now());
}

/// An exit's packets of others leave with its own address; those to its own subnets, under their names here, stay as they are.
void LiveNode::settle_masquerade() {
    const auto& node = core_->node();
    const bool is_exit = node.standing() == mesh::Standing::member && node.self().says.roles.has(mesh::Role::exit);
    auto behind = allowed_;
    for (const auto& mapped : offered_subnets_.mapped()) behind.push_back(mapped.lan);
    masquerade_->set(is_exit, behind);
    if (is_exit == masquerades_) return;
    masquerades_ = is_exit;
    Batch batch;
    batch.values[kMasqueradeValue] = is_exit ? net::copy(net::as_bytes("1")) : net::Bytes();
    store_.submit(std::move(batch), Durability::written);
}

std::vector<std::string> LiveNode::exit_troubles() const {
    auto out = exit_troubles_;
    if (auto trouble = masquerade_->trouble(); !trouble.empty()) out.push_back(std::move(trouble));
    return out;
}

net::Result<void> LiveNode::set_exit(const std::string& name) {
    if (name.empty() != core_->node().exit().empty()) {
        if (name.empty()) {
            if (const auto removed = exit_routing_->remove(); !removed) return removed;
            exit_troubles_.clear();
        } else {
            const auto held = exit_routing_->add();
            if (!held) return tl::unexpected(held.error());
            note_exit(held);
        }
    }
    if (name.empty()) {
        spdlog::info("what goes to the Internet goes there directly");
    } else {
        spdlog::info("what goes to the Internet goes through {}", name);
    }
    core_->node().set_exit(name, loop_.now());
    toward_.clear();
    pump();
    return {};
}

void LiveNode::resolve_centre() {
    const auto& centre = config_.voice.centre;
    if (!centre || net::IpAddress::parse(centre->host)) return;
    resolver_->resolve(centre->host, [this, centre](const net::Result<loop::Addresses>& answer) {
        const bool lost = core_->proxy()->voice().mode == "island";
        centre_timer_.after(answer && !lost ? net::Duration(kResolveCentreEvery) : net::Duration(kResolveCentreAgain));
        if (!answer) {
            if (complained_.insert(centre->host).second) spdlog::warn("centre: {}: {}", centre->host, answer.error().message);
            return;
        }
        const net::Endpoint endpoint{core_->proxy()->centre_among(answer->addresses),
                                     centre->port.value_or(voice::default_port(transport_of(*centre)))};
        core_->proxy()->set_centre({transport_of(*centre), endpoint}, loop_.now());
        Batch batch;
        batch.values[kCentreValue] = net::copy(net::as_bytes(endpoint.text()));
        store_.submit(std::move(batch), Durability::written);
        pump();
    });
}

net::IpAddress LiveNode::local_toward(const net::IpAddress& remote) {
    // Few remotes matter: the centre and the phones of an office. The bound is for those who are neither.
    if (toward_.size() > 4096) toward_.clear();
    const auto [entry, is_new] = toward_.try_emplace(remote);
    if (is_new) entry->second = loop::local_address_toward(remote);
    return entry->second;
}

void LiveNode::add_contact(const net::TunnelKey& tunnel_key, const net::Endpoint& endpoint) {
    const auto* member = core_->node().view().by_tunnel_key(tunnel_key);
    core_->node().add_candidate(member == nullptr ? std::nullopt : std::optional(member->key), endpoint,
                                mesh::Source::join, loop_.now());
    pump();
}

const mesh::DropCounters& LiveNode::drops() { return core_->node().wireguard().drops(); }

void LiveNode::restore_calls(const std::map<std::string, net::Bytes>& values) {
    std::vector<voice::CallRecord> records;
    for (auto value = values.lower_bound(std::string(kCallPrefix)); value != values.end(); ++value) {
        if (!value->first.starts_with(kCallPrefix)) break;
        if (auto record = saved_call(value->second)) records.push_back(std::move(*record));
    }
    core_->proxy()->restore_calls(std::move(records), loop_.now());
}

void LiveNode::restore_phones(const std::map<std::string, net::Bytes>& values) {
    std::vector<voice::SavedBinding> saved;
    for (auto value = values.lower_bound(std::string(kPhonePrefix)); value != values.end(); ++value) {
        if (!value->first.starts_with(kPhonePrefix)) break;
        const auto phones = saved_phones(value->second);
        saved.insert(saved.end(), phones.begin(), phones.end());
    }
    core_->proxy()->restore(saved, loop_.now());
    core_->proxy()->restore_mail(values, loop_.now());
    core_->proxy()->restore_lamps(values, loop_.now());
}

void LiveNode::store_mail() {
    auto mail = core_->proxy()->take_mail();
    if (!mail) return;
    Batch batch;
    batch.values = std::move(mail->values);
    store_.submit(std::move(batch), mail->sync ? Durability::synced : Durability::written, [this, alive = alive_, id = mail->id] {
        if (!*alive) return;
        core_->proxy()->mail_stored(id, loop_.now());
        pump();
    });
}

/// The proxy tells of changes at most every so often: at the end it is asked as if that time were over.
void LiveNode::store_untold_phones() {
    if (core_->proxy() == nullptr) return;
    auto later = loop_.now();
    later.steady += voice::Location::kTellEvery;
    core_->proxy()->tick(later);
    std::set<voice::Aor> changed;
    for (const auto& event : core_->proxy()->take_events()) {
        if (const auto* binding = std::get_if<voice::BindingChanged>(&event)) changed.insert(binding->aor);
    }
    if (!changed.empty()) store_phones(changed);
}

void LiveNode::store_phones(const std::set<voice::Aor>& changed) {
    Batch batch;
    for (const auto& aor : changed) {
        batch.values[std::string(kPhonePrefix) + aor] = to_value(core_->proxy()->saved(aor, loop_.now()));
    }
    store_.submit(std::move(batch), Durability::written);
}

}  // namespace meshd
