#include "meshctl/voice_line.hpp"

#include "meshctl/terminal.hpp"
#include "meshctl/units.hpp"

namespace meshctl {

std::string voice_line(const Value& voice, bool colour) {
    const auto mode = voice["mode"].text();
    auto what = printable(mode);
    auto in = Colour::none;
    if (mode == "central") {
        what = "calls go through the central server";
        in = Colour::good;
    } else if (mode == "island") {
        what = "calls go over the mesh: the central server is out of reach";
        in = Colour::warning;
    } else if (mode == "busy") {
        what = "the central server is busy: calls go over the mesh for a while";
        in = Colour::warning;
    } else if (mode == "registrar") {
        what = "this mesh is its own registrar";
        in = Colour::good;
    } else if (mode == "checking") {
        what = "finding out whether the central server answers";
        in = Colour::warning;
    } else if (mode.empty()) {
        return "off";
    }
    auto out = coloured(what, in, colour);
    if (const auto centre = voice["centre"].text(); !centre.empty()) out += ", " + printable(centre);
    if (const auto since = voice["since_s"].number()) out += ", for " + duration(*since);
    if (const auto why = voice["why"].text(); !why.empty()) {
        const auto elsewhere = voice["elsewhere"].text();
        out += " (" + printable(why) + (elsewhere.empty() ? "" : "; " + printable(elsewhere)) + ")";
    }
    if (voice["overloaded"].flag()) out += coloured("; overloaded, new calls are refused", Colour::bad, colour);
    return out;
}

}  // namespace meshctl
