#include "meshd/name_service.hpp"

namespace meshd {

NameService::NameService(loop::Loop& loop, std::vector<net::Endpoint> servers, voice::Proxy& proxy, std::function<void()> changed)
    : loop_(loop),
      proxy_(proxy),
      changed_(std::move(changed)),
      resolver_(loop, {.servers = std::move(servers)}) {}

void NameService::pump() {
    for (const auto& question : proxy_.take_questions()) ask(question);
    for (const auto& found : proxy_.take_looked_up()) {
        const auto wanted = wanted_.extract(found.id);
        if (!wanted.empty()) wanted.mapped()(found);
    }
}

void NameService::ask(const voice::DnsQuestion& question) {
    resolver_.ask(question.name, static_cast<std::uint16_t>(question.type),
                  [this, question](const net::Result<net::Bytes>& message) {
                      if (message) {
                          proxy_.dns_answered(question, *message, loop_.now());
                      } else {
                          proxy_.dns_unanswered(question, loop_.now());
                      }
                      changed_();
                  });
}

bool NameService::look_up(std::string e164, Done done) {
    const auto id = proxy_.look_up(std::move(e164), loop_.now());
    if (id == 0) return false;
    wanted_.emplace(id, std::move(done));
    changed_();
    return true;
}

}  // namespace meshd
