#include "meshd/daemon.hpp"

#include <csignal>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "meshd/api.hpp"

namespace meshd {

/// A Joiner on sockets of its own: the port is the mesh's own once it has been admitted.
class Daemon::Joining {
public:
    Joining(Daemon& daemon, const mesh::Token& token, std::function<void(const std::string&)> progress,
            std::function<void(net::Result<void>)> done)
        : daemon_(daemon),
          progress_(std::move(progress)),
          done_(std::move(done)),
          joiner_(token, daemon.random_, daemon.loop_.now()),
          timer_(daemon.loop_, [this] {
              joiner_.tick(daemon_.loop_.now());
              pump();
          }) {
        std::string why;
        bool taken = false;
        for (const auto* any : {"0.0.0.0", "::"}) {
            const net::Endpoint local{*net::IpAddress::parse(any), daemon.config_.listen_port};
            auto socket = loop::Datagram::open(local);
            if (!socket) {
                why = socket.error().message;
                taken |= why.find("another program has this port") != std::string::npos;
                continue;  // one family is enough, unless somebody else has the other
            }
            sockets_.push_back(std::make_unique<loop::UdpSocket>(
                daemon.loop_, std::move(*socket), loop::UdpSocket::Events{[this](const loop::Received& datagram) {
                    joiner_.receive(datagram.bytes, datagram.from, daemon_.loop_.now());
                    pump();
                }, {}}));
        }
        if (sockets_.empty() || taken) {
            // The node would need the same port afterwards: there is nothing to wait for.
            if (taken) {
                why = "another program has UDP port " + std::to_string(daemon.config_.listen_port) +
                      " (ss -ulpn names it): stop that, or set another \"listen_port\" in meshd.json and restart meshd";
            }
            finish([this, why] { done_(net::fail(why)); });
            return;
        }
        const auto is_stream = [](const mesh::Token::Contact& contact) { return contact.stream; };
        const bool has_streams = std::any_of(token.contacts.begin(), token.contacts.end(), is_stream);
        if (has_streams && daemon.config_.streams.dial) dial_where_udp_is_blocked();
        timer_.at(daemon.loop_.now().steady);
    }

private:
    void dial_where_udp_is_blocked() {
        resolver_ = std::make_unique<loop::Resolver>(daemon_.loop_);
        Streams::Settings settings;
        try {
            settings.proxy = proxy_to_dial_through(daemon_.config_.streams);
        } catch (const std::runtime_error& error) {
            spdlog::warn("{}", error.what());  // straight it may go
        }
        settings.server_name = daemon_.config_.streams.server_name;
        Streams::Events events;
        events.opened = [this](mesh::StreamId id, const net::Endpoint& remote) {
            joiner_.stream_opened(id, remote, daemon_.loop_.now());
        };
        events.closed = [this](mesh::StreamId id, const std::string& why) {
            spdlog::info("no stream: {}", why);
            joiner_.stream_closed(id, daemon_.loop_.now());
        };
        events.datagram = [this](mesh::StreamId id, net::MutableBytes bytes) {
            joiner_.receive(bytes, mesh::stream_endpoint(id), daemon_.loop_.now());
        };
        events.settled = [this] { pump(); };
        streams_ = std::make_unique<Streams>(daemon_.loop_, std::move(settings), std::move(events), daemon_.random_, *resolver_);
    }

    void pump() {
        if (ended_) return;  // the socket may still give what came before it is closed
        for (const auto& to : joiner_.take_streams_wanted()) {
            if (streams_) streams_->dial(to);
        }
        for (const auto& datagram : joiner_.take_datagrams()) {
            if (const auto way = mesh::VirtualEndpoint::of(datagram.to); way && streams_) streams_->send(way->id, datagram.bytes, false);
            for (const auto& socket : sockets_) {
                if (!mesh::is_virtual(datagram.to) && socket->local().address.bits() == datagram.to.address.bits()) socket->send(datagram.to, datagram.bytes);
            }
        }
        if (const auto status = joiner_.status(); status != told_) {
            told_ = status;
            if (joiner_.state() != mesh::Joiner::State::failed) progress_(status);
        }
        switch (joiner_.state()) {
            case mesh::Joiner::State::connecting:
            case mesh::Joiner::State::asking: timer_.at(joiner_.next_deadline()); return;
            case mesh::Joiner::State::joined: break;
            case mesh::Joiner::State::failed:
                finish([this] { done_(net::fail(told_)); });
                return;
        }
        finish([this] {
            auto joined = joiner_.take_joined();
            daemon_.become_member(std::move(joined.identity), std::move(joined.records), std::move(joined.contacts), {},
                                  std::move(progress_), std::move(done_));
        });
    }

    /// Frees the port, does `what`, and is gone.
    void finish(std::function<void()> what) {
        ended_ = true;
        timer_.cancel();
        daemon_.loop_.defer([this, what = std::move(what)] {
            sockets_.clear();
            streams_.reset();
            const auto self = std::move(daemon_.joining_);
            what();
        });
    }

    Daemon& daemon_;
    std::function<void(const std::string&)> progress_;
    std::function<void(net::Result<void>)> done_;
    mesh::Joiner joiner_;
    std::vector<std::unique_ptr<loop::UdpSocket>> sockets_;
    std::unique_ptr<loop::Resolver> resolver_;
    std::unique_ptr<Streams> streams_;  ///< null where none are to be dialled
    loop::Timer timer_;
    std::string told_;
    bool ended_ = false;
};

Daemon::Daemon(Config config, const DaemonPaths& paths, net::Random& random)
    : config_(std::move(config)),
      random_(random),
      signals_(loop_, {SIGTERM, SIGINT},
               [this](int number) {
                   spdlog::info("{}: leaving", number == SIGTERM ? "SIGTERM" : "SIGINT");
                   leave();
               }),
      store_(paths.state, {[this](Store::Task task) { loop_.post(std::move(task)); },
                           [this](const std::string& why) {
                               store_trouble_ = why;
                               if (why.empty()) {
                                   spdlog::info("state is being written again");
                               } else {
                                   spdlog::error("{}", why);
                                   if (tell_joiner_) tell_joiner_(why);
                               }
                           }}) {
    auto state = store_.take_loaded();
    if (state.identity) {
        live_ = std::make_unique<LiveNode>(loop_, config_, store_, std::move(state), random_);
    } else {
        spdlog::info("in no mesh yet: make one with 'meshctl init', or enter one with 'meshctl join'");
    }
    add_api(methods_, *this);
    control_ = std::make_unique<ControlSocket>(loop_, paths.control, methods_);
}

Daemon::~Daemon() = default;

/// A second signal does not wait for what the first began.
void Daemon::leave() {
    if (!live_ || std::exchange(leaving_, true)) return loop_.stop();
    live_->release_port_mappings([this] { loop_.stop(); });
}

void Daemon::run() {
    spdlog::info("ready");
    loop_.run();
    if (!failure_.empty()) throw std::runtime_error(failure_);
}

void Daemon::become_member(mesh::NodeIdentity identity, std::vector<net::Bytes> records,
                           std::vector<std::pair<net::TunnelKey, net::Endpoint>> contacts,
                           const std::vector<net::Endpoint>& advertise,
                           std::function<void(const std::string&)> progress,
                           std::function<void(net::Result<void>)> done) {
    Batch batch;
    batch.identity = identity;
    batch.records = keyed_records(identity.mesh_id, records);
    if (!advertise.empty()) batch.values[kAdvertiseValue] = to_value(advertise);
    StoredState state;
    state.values = batch.values;
    state.identity = std::move(identity);
    state.records = std::move(records);
    // Nothing is said to anybody before the keys are on the disk: a name that was given away must not be lost.
    auto shared = std::make_shared<StoredState>(std::move(state));
    tell_joiner_ = std::move(progress);
    store_.submit(std::move(batch), Durability::synced,
                  [this, shared, contacts = std::move(contacts), done = std::move(done)] {
                      tell_joiner_ = nullptr;
                      try {
                          live_ = std::make_unique<LiveNode>(loop_, config_, store_, std::move(*shared), random_);
                      } catch (const std::exception& error) {
                          failure_ = error.what();
                          done(net::fail(failure_ +
                                         ". meshd has ended, but this machine is in the mesh: mend that, and start meshd"));
                          loop_.stop();
                          return;
                      }
                      for (const auto& [key, endpoint] : contacts) live_->add_contact(key, endpoint);
                      spdlog::info("this is {} of the mesh {}", live_->core().node().self().says.name,
                                   live_->core().node().mesh_name());
                      done({});
                  });
}

void Daemon::join(const mesh::Token& token, std::function<void(const std::string&)> progress,
                  std::function<void(net::Result<void>)> done) {
    joining_ = std::make_unique<Joining>(*this, token, std::move(progress), std::move(done));
}

}  // namespace meshd
