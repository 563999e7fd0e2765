// The memory behind the model's ports: its bytes, random stalls, faults, and what it holds against the design.

#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "memory_timing.h"

namespace sim {

constexpr unsigned kBeat = PORT_BYTES;       // bytes of one beat
constexpr unsigned kBursts = 16;             // bursts that a port accepts before it has answered the first
constexpr unsigned kFaults = 8;              // address ranges that answer an error
constexpr unsigned kBurstBytes = 4096;       // most bytes of a burst
constexpr unsigned kWrites = 1u << kPorts;   // the bit of writes, above the bits of the ports' reads
enum Response : unsigned { kOkay = 0, kSlvErr = 2, kDecErr = 3 };

struct Fault {
    uint64_t first, last;                    // byte addresses, last included
    unsigned response, ports;                // ports: bits, as `mute`
};

struct Memory {
    uint8_t* bytes;
    uint64_t base, size;
    Timing timing;
    uint64_t now = 0, random = 1;
    unsigned stall = 0;                      // chance of a stall, in 1/65536
    unsigned mute = 0;                       // ports that do not answer, a bit each
    Fault faults[kFaults] = {};
    unsigned fault_count = 0;
    char violation[256] = "";                // first breach of the protocol by the design

    bool stalls() {
        if (!stall) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return (random & 0xffff) < stall;
    }

    bool holds(uint64_t address, uint64_t count) const {
        return address >= base && address - base < size && size - (address - base) >= count;
    }

    unsigned response(uint64_t address, unsigned port) const {
        for (unsigned i = 0; i < fault_count; i++) {
            const Fault& f = faults[i];
            if ((f.ports & port) && address + kBeat > f.first && address <= f.last) return f.response;
        }
        return holds(address, kBeat) ? kOkay : kDecErr;
    }

    void breach(const char* format, ...) {
        if (violation[0]) return;
        va_list list;
        va_start(list, format);
        vsnprintf(violation, sizeof violation, format, list);
        va_end(list);
    }
};

}  // namespace sim
