/// Rows in aligned columns.
#pragma once

#include <vector>

#include "meshctl/terminal.hpp"

namespace meshctl {

struct Cell {
    Cell(std::string_view what, Colour in = Colour::none) : text(printable(what)), colour(in) {}
    Cell(const std::string& what, Colour in = Colour::none) : Cell(std::string_view(what), in) {}
    Cell(const char* what, Colour in = Colour::none) : Cell(std::string_view(what), in) {}
    std::string text;
    Colour colour;
};

class Table {
public:
    enum class Align { left, right };
    struct Column {
        std::string title;
        Align align = Align::left;
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// As many cells as there are columns. An empty one is shown as "-".
    void add(std::vector<Cell> row);
    bool empty() const { return rows_.empty(); }
    /// With a line of titles; columns in which no row says anything are left out. Ends with a line end.
    std::string text(bool colour) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace meshctl
