// How packets are carried, and the switches for when a kernel does it wrong.
#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"

namespace meshd {

using nlohmann::json;

namespace {

json us_json(const std::optional<std::chrono::microseconds>& waited) {
    return waited ? json(waited->count()) : json(nullptr);
}

}  // namespace

json data_json(const LiveNode& live) {
    const auto& threads = live.data();
    const auto tun = live.device().offloads();
    const auto rate = live.data_config().uplink_bit_per_s;
    const auto waits = threads.longest_waits(live.now().steady);
    return {{"threads", threads.single() ? "one" : "several"},
            {"queues", {{"out", threads.queues_out()}, {"in", threads.queues_in()}}},
            {"voice_queue", live.device().steers_voice()},
            {"voice_queue_trouble", live.device().steering_trouble()},
            {"voice_socket", threads.steers_voice()},
            {"tun_offloads", {{"checksum", tun.checksum}, {"tcp", tun.tcp}, {"udp", tun.udp}}},
            {"tun_joins", {{"tcp", tun.tcp && threads.joins_tcp()}, {"udp", tun.udp && threads.joins_udp()}}},
            {"udp_offloads_harmful", live.trains_harmful()},
            {"udp_offloads", {{"send", threads.sends_segments()}, {"receive", threads.receives_merged()}}},
            {"aes", live.data_config().aes && mesh::has_aes_hardware()},
            {"dscp", live.data_config().dscp == net::OuterDscp::copy ? "copy" : "voice"},
            {"longest_wait_us", {{"out", us_json(waits.out)}, {"voice_out", us_json(waits.voice_out)}, {"in", us_json(waits.in)}}},
            {"longest_wait_trouble", live.device().arrivals_trouble()},
            {"voice_over_share", threads.voice_over_share()},
            {"uplink_rate_bit_s", rate == 0 ? json(nullptr) : json(rate)}};
}

namespace {

bool on_or_off(const std::string& text) {
    if (text != "on" && text != "off") throw CallRefused("\"" + text + "\" is neither on nor off", "", RpcError::invalid_params);
    return text == "on";
}

void set(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    const auto named = [&](const char* name) -> std::optional<bool> {
        const auto text = params.optional_text(name);
        return text ? std::optional(on_or_off(*text)) : std::nullopt;
    };
    live.set_offloads(named("tun_offloads"), named("udp_offloads"));
    answer.result(data_json(live));
}

}  // namespace

void add_data_api(Methods& methods, Daemon& daemon) {
    methods.add("data", Access::read, {}, [&daemon](const Params&, const loop::Credentials&, Answer& answer) {
        answer.result(data_json(member(daemon)));
    });
    methods.add("data.set", Access::change, {"tun_offloads", "udp_offloads"},
                [&daemon](const Params& given, const loop::Credentials&, Answer& answer) { set(daemon, given, answer); });
}

}  // namespace meshd
