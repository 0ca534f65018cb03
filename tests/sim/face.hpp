/// Joins the two networks in memory: that of whole nodes and that of phones and the centre.
#pragma once

#include "tests/sim/world.hpp"
#include "tests/unit/voice/world.hpp"

namespace sim {

/// A node's face toward its phones and the centre: a host among them.
class Face final : public test::Host {
public:
    Face(test::World& world, sim::Host& node) : node_(node) {
        node_.sip_out = [this](voice::Outgoing out) { out_.push_back(std::move(out)); };
        world.attach({node.address, 5060}, *this);
    }
    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now) override { node_.receive_sip(flow, bytes); }
    void tick(net::Now) override {}
    net::Steady next_deadline() const override { return net::kNever; }
    std::vector<voice::Outgoing> take_outgoing() override {
        for (auto& out : out_) out.flow.local = {node_.address, 5060};
        return std::exchange(out_, {});
    }

private:
    sim::Host& node_;
    std::vector<voice::Outgoing> out_;
};

/// Both worlds on, in step, until `holds`, which is asked after each slice; false if it does not within `limit`.
inline bool run_until(World& mesh, test::World& line, net::Duration slice, net::Duration limit, const std::function<bool()>& holds) {
    const auto end = mesh.now().steady + limit;
    line.flush();
    while (!holds()) {
        if (mesh.now().steady >= end) return false;
        mesh.run_for(slice);
        line.flush();
        line.run(slice);
    }
    return true;
}

}  // namespace sim
