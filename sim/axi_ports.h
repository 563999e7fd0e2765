// The memory's side of AXI4 ports, with the checks of the protocol.
//
// The memory is as unhelpful as the protocol allows: a read sees the bytes at the time its address was accepted, a write
// becomes visible when it is acknowledged. A design that reads before it has the response reads the old bytes.

#pragma once
#include <cstdint>
#include <cstring>

#include "memory_model.h"

namespace sim {

// The names of pins, by pointers into the model.
struct AddressPins {
    const uint64_t* addr;
    const uint8_t *len, *size, *burst, *valid;
    uint8_t* ready;
};

struct ReadPins {
    AddressPins address;
    uint8_t *data, *resp, *last, *valid;
    const uint8_t* ready;
};

struct WritePins {
    AddressPins address;
    const uint8_t *data, *last, *valid;
    const void* strobe;
    uint8_t* ready;
    uint8_t *resp, *resp_valid;
    const uint8_t* resp_ready;
};

// What AXI4 demands of an address channel.
class AddressChannel {
  public:
    void check(Memory& memory, const AddressPins& pins, const char* kind, unsigned port) {
        if (waiting_ && (!*pins.valid || *pins.addr != addr_ || *pins.len != len_))
            memory.breach("Port %u changed an address of a %s that was not accepted, cycle %llu", port, kind,
                          (unsigned long long)memory.now);
        waiting_ = *pins.valid && !*pins.ready;
        if (!*pins.valid) return;
        addr_ = *pins.addr, len_ = *pins.len;
        const uint64_t last = addr_ + uint64_t(len_ + 1) * kBeat - 1;
        if (addr_ % kBeat || (addr_ ^ last) >> 12 || *pins.burst != 1 || (1u << *pins.size) != kBeat)
            memory.breach("Port %u asked for an illegal burst of a %s, address 0x%llx, %u beats", port, kind,
                          (unsigned long long)addr_, len_ + 1u);
    }

  private:
    bool waiting_ = false;
    uint64_t addr_ = 0;
    uint8_t len_ = 0;
};

class ReadPort {
  public:
    ReadPort(const ReadPins& pins, unsigned port) : pins_(pins), port_(port), bit_(1u << port) {}

    // Sets the inputs of this cycle.
    void drive(Memory& memory) {
        State& s = state;
        const bool mute = memory.mute & bit_;
        *pins_.address.ready = s.count < kBursts && !mute && memory.timing.room(port_) && !memory.stalls();
        if (*pins_.valid || !s.count || mute) return;
        Burst& burst = s.bursts[s.head];
        if (!memory.timing.readable(port_, burst.due) || memory.stalls()) return;
        memory.timing.take(port_);
        const unsigned offset = burst.next * kBeat;
        memcpy(pins_.data, burst.data + offset % kBurstBytes, kBeat);
        *pins_.resp = memory.response(burst.address + offset, bit_);
        *pins_.last = burst.next == burst.length;
        *pins_.valid = 1;
    }

    // Looks at the handshakes of this cycle, when all signals have settled.
    void sample(Memory& memory) {
        State& s = state;
        s.channel.check(memory, pins_.address, "read", port_);
        s.taken = *pins_.valid && *pins_.ready;
        if (s.taken) {
            s.bytes += kBeat;
            Burst& burst = s.bursts[s.head];
            if (burst.next++ == burst.length) s.head = (s.head + 1) % kBursts, s.count--;
        }
        if (!*pins_.address.valid || !*pins_.address.ready) return;
        Burst& burst = s.bursts[(s.head + s.count++) % kBursts];
        burst.address = *pins_.address.addr;
        burst.length = *pins_.address.len;
        burst.next = 0;
        const unsigned size = (burst.length + 1) * kBeat;
        burst.due = memory.timing.read(port_, burst.address, size);
        if (size <= kBurstBytes && memory.holds(burst.address, size))
            memcpy(burst.data, memory.bytes + (burst.address - memory.base), size);
        else
            memset(burst.data, 0xdb, sizeof burst.data);
    }

    // After the clock edge: a beat that was taken leaves.
    void retire() {
        if (state.taken) *pins_.valid = 0;
    }

    bool busy() const { return state.count; }

    struct Burst {
        uint64_t address, due;
        unsigned length, next;
        alignas(64) uint8_t data[kBurstBytes];
    };
    struct State {
        AddressChannel channel;
        Burst bursts[kBursts];
        unsigned head, count;
        bool taken;
        uint64_t bytes;
    };
    State state = {};

  private:
    ReadPins pins_;
    unsigned port_, bit_;
};

class WritePort {
  public:
    explicit WritePort(const WritePins& pins) : pins_(pins) {}

    void drive(Memory& memory) {
        State& s = state;
        const bool mute = memory.mute & kWrites;
        *pins_.address.ready = s.count < kBursts && !mute && !memory.stalls();
        *pins_.ready = s.filled < s.count && !mute && memory.timing.writable() && !memory.stalls();
        if (*pins_.resp_valid || !s.filled || mute) return;
        Burst& burst = s.bursts[s.head];
        if (!memory.timing.written(burst.due) || memory.stalls()) return;
        commit(memory, burst);
        *pins_.resp = burst.response;
        *pins_.resp_valid = 1;
    }

    void sample(Memory& memory) {
        State& s = state;
        s.channel.check(memory, pins_.address, "write", 0);
        check_data(memory);
        s.answered = *pins_.resp_valid && *pins_.resp_ready;
        if (*pins_.valid && *pins_.ready) take(memory);
        if (s.answered) s.head = (s.head + 1) % kBursts, s.count--, s.filled--;
        if (!*pins_.address.valid || !*pins_.address.ready) return;
        Burst& burst = s.bursts[(s.head + s.count++) % kBursts];
        burst.address = *pins_.address.addr;
        burst.length = *pins_.address.len;
        burst.next = 0;
        burst.response = kOkay;
    }

    void retire() {
        if (state.answered) *pins_.resp_valid = 0;
    }

    bool busy() const { return state.count; }

    struct Burst {
        uint64_t address, due;
        unsigned length, next, response;
        uint8_t data[kBurstBytes];
        uint64_t strobes[kBurstBytes / 64];  // one bit a byte
    };
    struct State {
        AddressChannel channel;
        Burst bursts[kBursts];
        unsigned head, count, filled;        // bursts; those with all their data are the first `filled`
        bool answered, waiting;
        uint8_t data[kBeat], strobe[kBeat / 8];
        uint64_t bytes;
    };
    State state = {};

  private:
    void check_data(Memory& memory) {
        State& s = state;
        if (s.waiting && (!*pins_.valid || memcmp(pins_.data, s.data, kBeat) || memcmp(pins_.strobe, s.strobe, sizeof s.strobe)))
            memory.breach("Port 0 changed data that were not accepted, cycle %llu", (unsigned long long)memory.now);
        s.waiting = *pins_.valid && !*pins_.ready;
        if (s.waiting) memcpy(s.data, pins_.data, kBeat), memcpy(s.strobe, pins_.strobe, sizeof s.strobe);
    }

    void take(Memory& memory) {
        State& s = state;
        s.bytes += kBeat;
        Burst& burst = s.bursts[(s.head + s.filled) % kBursts];
        const unsigned offset = burst.next * kBeat;
        const uint64_t address = burst.address + offset;
        memcpy(burst.data + offset % kBurstBytes, pins_.data, kBeat);
        memcpy(reinterpret_cast<uint8_t*>(burst.strobes) + offset % kBurstBytes / 8, pins_.strobe, kBeat / 8);
        const unsigned response = memory.response(address, kWrites);
        if (response) burst.response = response;
        const bool last = burst.next++ == burst.length;
        if (last != bool(*pins_.last))
            memory.breach("Port 0's wlast is wrong in the burst at 0x%llx", (unsigned long long)burst.address);
        burst.due = memory.timing.write(address, last);
        if (last) s.filled++;
    }

    void commit(Memory& memory, const Burst& burst) {
        const unsigned size = (burst.length + 1) * kBeat;
        if (burst.response || size > kBurstBytes) return;
        uint8_t* target = memory.bytes + (burst.address - memory.base);
        for (unsigned i = 0; i < size; i++)
            if (burst.strobes[i / 64] >> (i % 64) & 1) target[i] = burst.data[i];
    }

    WritePins pins_;
};

}  // namespace sim
