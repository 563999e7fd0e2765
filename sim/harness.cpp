// The accelerator's Verilated model with a memory behind its ports, as a library with a C interface.
//
// One clock cycle: the inputs are set, the model settles, handshakes are looked at, the clock rises. Every function
// that lets time pass has a deadline in cycles. One simulator belongs to one thread at a time. The macros PORTS,
// PORT_BYTES and THREADS say what model it is.

#include <memory>

#include "Vterntable.h"
#include "axi_ports.h"
#include "verilated.h"
#include "verilated_save.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

using sim::ReadPins;
using sim::ReadPort;
using sim::WritePins;
using sim::WritePort;

template <typename T>
uint8_t* bytes_of(T& field) {
    return reinterpret_cast<uint8_t*>(&field);
}

// Results of functions that wait.
enum Status { kDone = 0, kDeadline = 1, kViolation = 2 };

#define AXI_ADDRESS(name, x) {&top.name##_a##x##addr, &top.name##_a##x##len, &top.name##_a##x##size, \
    &top.name##_a##x##burst, &top.name##_a##x##valid, &top.name##_a##x##ready}
#define AXI_READ(name) ReadPins{AXI_ADDRESS(name, r), bytes_of(top.name##_rdata), &top.name##_rresp, \
    &top.name##_rlast, &top.name##_rvalid, &top.name##_rready}
#define AXI_WRITE(name) WritePins{AXI_ADDRESS(name, w), bytes_of(top.name##_wdata), &top.name##_wlast, &top.name##_wvalid, \
    &top.name##_wstrb, &top.name##_wready, &top.name##_bresp, &top.name##_bvalid, &top.name##_bready}

class Harness {
  public:
    sim::Memory memory;
    VerilatedContext context;
    Vterntable top;
    ReadPort reads[PORTS] = {
        {AXI_READ(m_axi_gmem0), 0},
#if PORTS > 1
        {AXI_READ(m_axi_gmem1), 1},
#endif
#if PORTS > 2
        {AXI_READ(m_axi_gmem2), 2},
        {AXI_READ(m_axi_gmem3), 3},
#endif
    };
    WritePort write{AXI_WRITE(m_axi_gmem0)};

    explicit Harness(const sim::Memory& settings) : memory(settings), top(threaded(context)) {
        top.s_axi_control_wstrb = 15;
        top.s_axi_control_bready = top.s_axi_control_rready = 1;
        reset();
    }

    ~Harness() {
        trace(nullptr);
        top.final();
    }

    void reset() {
        top.rst = 1;
        for (int i = 0; i < 4; i++) cycle();
        top.rst = 0;
        cycle();
    }

    void cycle() {
        // The port that goes first changes, for all of them may share one bandwidth.
        for (unsigned n = 0; n < PORTS; n++) reads[(memory.now + n) % PORTS].drive(memory);
        write.drive(memory);
        top.clk = 0;
        top.eval();
        dump(0);
        for (ReadPort& read : reads) read.sample(memory);
        write.sample(memory);
        top.clk = 1;
        top.eval();
        dump(1);
        for (ReadPort& read : reads) read.retire();
        write.retire();
        memory.timing.tick();
        memory.now++;
    }

    bool busy() const {
        for (const ReadPort& read : reads)
            if (read.busy()) return true;
        return write.busy();
    }

    // Verilator renames a port that C++ frameworks reserve.
    bool interrupt() const { return top.__SYM__interrupt; }

    Status run(uint64_t cycles, bool until_interrupt) {
        for (uint64_t i = 0; i < cycles; i++) {
            if (until_interrupt && interrupt()) return kDone;
            cycle();
            if (memory.violation[0]) return kViolation;
        }
        return until_interrupt && !interrupt() ? kDeadline : kDone;
    }

    Status write_register(unsigned address, unsigned value, unsigned deadline, unsigned* response) {
        top.s_axi_control_awaddr = address;
        top.s_axi_control_wdata = value;
        top.s_axi_control_awvalid = top.s_axi_control_wvalid = 1;
        for (unsigned i = 0; i < deadline; i++) {
            const Sampled s = lite_cycle();
            if (s.awready) top.s_axi_control_awvalid = 0;
            if (s.wready) top.s_axi_control_wvalid = 0;
            if (s.bvalid) {
                *response = s.bresp;
                return memory.violation[0] ? kViolation : kDone;
            }
        }
        top.s_axi_control_awvalid = top.s_axi_control_wvalid = 0;
        return kDeadline;
    }

    Status read_register(unsigned address, unsigned deadline, unsigned* value, unsigned* response) {
        top.s_axi_control_araddr = address;
        top.s_axi_control_arvalid = 1;
        for (unsigned i = 0; i < deadline; i++) {
            const Sampled s = lite_cycle();
            if (s.arready) top.s_axi_control_arvalid = 0;
            if (s.rvalid) {
                *value = s.rdata;
                *response = s.rresp;
                return memory.violation[0] ? kViolation : kDone;
            }
        }
        top.s_axi_control_arvalid = 0;
        return kDeadline;
    }

    bool trace(const char* path) {
#if VM_TRACE
        if (vcd_) vcd_->close(), vcd_.reset();
        if (!path) return true;
        context.traceEverOn(true);
        vcd_ = std::make_unique<VerilatedVcdC>();
        top.trace(vcd_.get(), 99);
        vcd_->open(path);
        return vcd_->isOpen();
#else
        return !path;
#endif
    }

    // Writes all state to a file, or reads it back into a simulator of the same library and settings.
    bool save(const char* path) {
        VerilatedSave file;
        file.open(path);
        if (!file.isOpen()) return false;
        file << top;
        transfer([&](void* data, size_t size) { file.write(data, size); });
        file.close();
        return true;
    }

    bool restore(const char* path) {
        VerilatedRestore file;
        file.open(path);
        if (!file.isOpen()) return false;
        file >> top;
        transfer([&](void* data, size_t size) { file.read(data, size); });
        file.close();
        return true;
    }

  private:
    static VerilatedContext* threaded(VerilatedContext& context) {
        context.threads(THREADS);
        return &context;
    }

    // Everything outside of the model, piece by piece. Faults and muted ports are the test's, not the machine's.
    template <typename F>
    void transfer(F piece) {
        piece(&memory.timing, sizeof memory.timing);
        piece(&memory.now, sizeof memory.now);
        piece(&memory.random, sizeof memory.random);
        for (ReadPort& read : reads) piece(&read.state, sizeof read.state);
        piece(&write.state, sizeof write.state);
        const uint64_t size = memory.size;
        // Pages of zeros are left out.
        for (uint64_t at = 0; at < size; at += kPage) {
            const size_t count = size - at < kPage ? size - at : kPage;
            uint8_t used = any(memory.bytes + at, count);
            piece(&used, 1);
            if (used) piece(memory.bytes + at, count);
        }
    }

    static constexpr uint64_t kPage = 4096;
    static bool any(const uint8_t* bytes, size_t count) {
        for (size_t i = 0; i < count; i++)
            if (bytes[i]) return true;
        return false;
    }

    // The slave's outputs before the clock edge, which decide what the edge does.
    struct Sampled {
        bool awready, wready, arready, bvalid, rvalid;
        unsigned bresp, rresp, rdata;
    };

    Sampled lite_cycle() {
        // These outputs come from registers, so they are settled already, and no other input changes them.
        const Sampled s{top.s_axi_control_awready && top.s_axi_control_awvalid,
                        top.s_axi_control_wready && top.s_axi_control_wvalid,
                        top.s_axi_control_arready && top.s_axi_control_arvalid,
                        bool(top.s_axi_control_bvalid), bool(top.s_axi_control_rvalid),
                        top.s_axi_control_bresp, top.s_axi_control_rresp, top.s_axi_control_rdata};
        cycle();
        return s;
    }

    void dump(unsigned edge) {
#if VM_TRACE
        if (vcd_) vcd_->dump(2 * memory.now + edge);
#endif
        (void)edge;
    }

#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> vcd_;
#endif
};

}  // namespace

extern "C" {

struct Settings {
    uint64_t base, size, seed;
    double bandwidth, stall;                 // bandwidth: bytes per cycle, of a port or of all (model flat)
    unsigned model, read_latency, write_latency;
    sim::DdrParameters ddr;
};

struct Counters {
    uint64_t cycles, read_bytes[sim::kPorts], write_bytes;
};

unsigned sim_ports() { return PORTS; }
unsigned sim_port_bytes() { return sim::kBeat; }

// `bytes` are the caller's and must outlive the simulator.
Harness* sim_create(uint8_t* bytes, const Settings* s) {
    sim::Memory memory{bytes, s->base, s->size,
                       sim::Timing(sim::Model(s->model), s->read_latency, s->write_latency, s->bandwidth, sim::kBeat, s->ddr)};
    memory.random = s->seed * 0x9e3779b97f4a7c15u | 1;
    memory.stall = unsigned(s->stall * 65536);
    return new Harness(memory);
}

void sim_destroy(Harness* h) { delete h; }
void sim_reset(Harness* h) { h->reset(); }
int sim_run(Harness* h, uint64_t cycles, int until_interrupt) { return h->run(cycles, until_interrupt); }
int sim_interrupt(const Harness* h) { return h->interrupt(); }
int sim_busy(const Harness* h) { return h->busy(); }
int sim_trace(Harness* h, const char* path) { return h->trace(path); }
int sim_save(Harness* h, const char* path) { return h->save(path); }
int sim_restore(Harness* h, const char* path) { return h->restore(path); }
const char* sim_violation(const Harness* h) { return h->memory.violation; }
void sim_mute(Harness* h, unsigned ports) { h->memory.mute = ports; }
void sim_clear_faults(Harness* h) { h->memory.fault_count = 0; }

int sim_write(Harness* h, unsigned address, unsigned value, unsigned deadline, unsigned* response) {
    return h->write_register(address, value, deadline, response);
}

int sim_read(Harness* h, unsigned address, unsigned deadline, unsigned* value, unsigned* response) {
    return h->read_register(address, deadline, value, response);
}

int sim_fault(Harness* h, uint64_t first, uint64_t last, unsigned response, unsigned ports) {
    sim::Memory& m = h->memory;
    if (m.fault_count == sim::kFaults) return 0;
    m.faults[m.fault_count++] = {first, last, response, ports};
    return 1;
}

void sim_counters(const Harness* h, Counters* c) {
    *c = {h->memory.now, {}, h->write.state.bytes};
    for (unsigned n = 0; n < PORTS; n++) c->read_bytes[n] = h->reads[n].state.bytes;
}

}  // extern "C"
