// Runs one unit of the top made by float_harness.py over all operand pairs on standard input.
//
// Arguments: the unit's number, its LATENCY.
// Input: records of two 64-bit words (a, b). Output: records of two 64-bit words (result, invalid flag).

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

struct Pair {
    uint64_t a, b;
};

static Vtop top;

static void edge() {
    top.eval();
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
}

static void fail(const char *what, size_t item) {
    std::fprintf(stderr, "item %zu: %s\n", item, what);
    std::exit(1);
}

// Result k shows after the edge that takes item k + latency - 1; the last ones are pushed out by copies of item 0.
static void run(const std::vector<Pair> &in, std::vector<Pair> &out, size_t latency) {
    uint32_t random = 1;
    for (size_t count = 1; count < in.size() + latency; count++) {
        random = random * 1664525 + 1013904223;
        if (random >> 30 == 0) {    // a quarter of the time: an edge with en low and other operands
            uint64_t before = top.y;
            top.en = 0;
            top.a = random;
            top.b = ~random;
            edge();
            if (top.y != before) fail("y changed while en was low", count);
        }
        const Pair &now = in[count <= in.size() ? count - 1 : 0];
        top.en = 1;
        top.a = now.a;
        top.b = now.b;
        edge();
        if (count >= latency) out.push_back({top.y, top.invalid});
    }
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: harness UNIT LATENCY", 0);
    std::vector<Pair> in, out;
    Pair pair;
    while (std::fread(&pair, sizeof pair, 1, stdin) == 1) in.push_back(pair);
    out.reserve(in.size());
    top.rst = 1;
    top.unit = std::atoi(argv[1]);
    edge();
    top.rst = 0;
    if (in.empty()) return 0;
    run(in, out, std::atoi(argv[2]));
    std::fwrite(out.data(), sizeof(Pair), out.size(), stdout);
    return 0;
}
