// Runs one unit of the top made by float_harness.py over all operand pairs on standard input.
//
// Arguments: "kernel" or "serial", the unit's number, its LATENCY.
// Input: records of two 64-bit words (a, b). Output: records of two 64-bit words (result, invalid flag).

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

struct Pair {
    uint64_t a, b;
};

static Vtop top;

static void kernel_edge() {
    top.eval();
    top.kernels_clk = 1;
    top.eval();
    top.kernels_clk = 0;
    top.eval();
}

static void serial_edge() {
    top.eval();
    top.serial_clk = 1;
    top.eval();
    top.serial_clk = 0;
    top.eval();
}

static void fail(const char *what, size_t item) {
    std::fprintf(stderr, "item %zu: %s\n", item, what);
    std::exit(1);
}

// Result k shows after the edge that takes item k + latency - 1; the last ones are pushed out by copies of item 0.
static void run_kernel(const std::vector<Pair> &in, std::vector<Pair> &out, size_t latency) {
    uint32_t random = 1;
    for (size_t edge = 1; edge < in.size() + latency; edge++) {
        random = random * 1664525 + 1013904223;
        if (random >> 30 == 0) {    // a quarter of the time: an edge with en low and other operands
            uint64_t before = top.y;
            top.en = 0;
            top.a = random;
            top.b = ~random;
            kernel_edge();
            if (top.y != before) fail("y changed while en was low", edge);
        }
        const Pair &now = in[edge <= in.size() ? edge - 1 : 0];
        top.en = 1;
        top.a = now.a;
        top.b = now.b;
        kernel_edge();
        if (edge >= latency) out.push_back({top.y, top.invalid});
    }
}

static void run_serial(const std::vector<Pair> &in, std::vector<Pair> &out, size_t latency) {
    for (size_t item = 0; item < in.size(); item++) {
        top.a = in[item].a;
        top.b = in[item].b;
        top.i_valid = 1;
        top.o_ready = 0;
        top.eval();
        if (!top.i_ready) fail("not ready after the result was taken", item);
        serial_edge();
        top.i_valid = 0;
        top.a = ~top.a;
        top.b = ~top.b;
        for (size_t cycle = 1; cycle < latency; cycle++) {
            if (top.o_valid) fail("result before LATENCY", item);
            serial_edge();
        }
        if (!top.o_valid) fail("no result after LATENCY", item);
        uint64_t y = top.serial;
        if (item % 16 == 0) {    // now and then, leave it standing
            serial_edge();
            if (!top.o_valid || top.serial != y || top.i_ready) fail("result not kept until taken", item);
        }
        out.push_back({y, 0});
        top.o_ready = 1;
        serial_edge();
    }
}

int main(int argc, char **argv) {
    if (argc != 4) fail("usage: harness kernel|serial UNIT LATENCY", 0);
    std::vector<Pair> in, out;
    Pair pair;
    while (std::fread(&pair, sizeof pair, 1, stdin) == 1) in.push_back(pair);
    out.reserve(in.size());
    top.kernels_rst = top.serial_rst = 1;
    top.unit = std::atoi(argv[2]);
    kernel_edge();
    serial_edge();
    top.kernels_rst = top.serial_rst = 0;
    if (in.empty()) return 0;
    if (std::strcmp(argv[1], "kernel") == 0)
        run_kernel(in, out, std::atoi(argv[3]));
    else
        run_serial(in, out, std::atoi(argv[3]));
    std::fwrite(out.data(), sizeof(Pair), out.size(), stdout);
    return 0;
}
