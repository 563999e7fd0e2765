// AXI4 memory behind the model's ports: latency, bandwidth, random stalls, faults, and the checks of the protocol.
//
// The memory is as unhelpful as the protocol allows: a read sees the bytes at the time its address was accepted, a write
// becomes visible when it is acknowledged. A design that reads before it has the response reads the old bytes.

#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace sim {

constexpr unsigned kBeat = BEAT_BYTES;       // bytes of one beat
constexpr unsigned kBursts = 16;             // bursts that a port accepts before it has answered the first
constexpr unsigned kFaults = 8;              // address ranges that answer an error
constexpr unsigned kOne = 1 << 16;           // one beat of bandwidth credit
enum Response : unsigned { kOkay = 0, kSlvErr = 2, kDecErr = 3 };
enum Mute : unsigned { kMuteStream = 1, kMuteRead = 2, kMuteWrite = 4 };

struct Fault {
    uint64_t first, last;                    // byte addresses, last included
    unsigned response, ports;                // ports: bits of Mute
};

struct Memory {
    uint8_t* bytes = nullptr;
    uint64_t base = 0, size = 0, now = 0, random = 1;
    unsigned read_latency = 1, write_latency = 1;
    unsigned stall = 0;                      // chance of a stall, in 1/65536
    unsigned mute = 0;                       // ports that do not answer
    Fault faults[kFaults];
    unsigned fault_count = 0;
    char violation[256] = "";                // first breach of the protocol by the design

    bool stalls() {
        if (!stall) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return (random & 0xffff) < stall;
    }

    unsigned response(uint64_t address, unsigned port) const {
        for (unsigned i = 0; i < fault_count; i++) {
            const Fault& f = faults[i];
            if ((f.ports & port) && address + kBeat > f.first && address <= f.last) return f.response;
        }
        return address >= base && address - base + kBeat <= size ? kOkay : kDecErr;
    }

    void breach(const char* format, ...) {
        if (violation[0]) return;
        va_list list;
        va_start(list, format);
        vsnprintf(violation, sizeof violation, format, list);
        va_end(list);
    }
};

// What AXI4 demands of an address channel; `Top` names its fields by pointers.
struct AddressPins {
    const uint64_t* addr;
    const uint8_t *len, *size, *burst, *valid;
    uint8_t* ready;
};

class AddressChannel {
  public:
    void check(Memory& memory, const AddressPins& pins, const char* name) {
        if (waiting_ && (!*pins.valid || *pins.addr != addr_ || *pins.len != len_))
            memory.breach("%s changed an address that was not accepted, cycle %llu", name, (unsigned long long)memory.now);
        waiting_ = *pins.valid && !*pins.ready;
        addr_ = *pins.addr, len_ = *pins.len;
        if (!*pins.valid) return;
        const uint64_t last = addr_ + uint64_t(len_ + 1) * kBeat - 1;
        if (addr_ % kBeat || (addr_ ^ last) >> 12 || *pins.burst != 1 || (1u << *pins.size) != kBeat)
            memory.breach("%s asked for an illegal burst, address 0x%llx, %u beats", name, (unsigned long long)addr_, len_ + 1u);
    }

  private:
    bool waiting_ = false;
    uint64_t addr_ = 0;
    uint8_t len_ = 0;
};

// Beats that may pass: `rate` in 1/65536 beats per cycle, saved up for at most 16 beats.
struct Bandwidth {
    unsigned rate = kOne, credit = kOne;
    void tick() {
        credit += rate;
        if (credit > 16 * kOne) credit = 16 * kOne;
    }
    bool has() const { return credit >= kOne; }
    void spend() { credit -= kOne; }
};

struct ReadPins {
    AddressPins address;
    uint8_t *data, *resp, *last, *valid;
    const uint8_t* ready;
};

class ReadPort {
  public:
    Bandwidth bandwidth;
    uint64_t bytes = 0;

    ReadPort(const ReadPins& pins, unsigned port, const char* name) : pins_(pins), port_(port), name_(name) {}

    // Sets the inputs of this cycle.
    void drive(Memory& memory) {
        const bool mute = memory.mute & port_;
        *pins_.address.ready = count_ < kBursts && !mute && !memory.stalls();
        bandwidth.tick();
        if (*pins_.valid || !count_ || mute) return;
        Burst& burst = bursts_[head_];
        if (burst.due > memory.now || !bandwidth.has() || memory.stalls()) return;
        bandwidth.spend();
        const unsigned offset = burst.next * kBeat;
        memcpy(pins_.data, burst.data + offset, kBeat);
        *pins_.resp = memory.response(burst.address + offset, port_);
        *pins_.last = burst.next == burst.length;
        *pins_.valid = 1;
    }

    // Looks at the handshakes of this cycle, when all signals have settled.
    void sample(Memory& memory) {
        channel_.check(memory, pins_.address, name_);
        taken_ = *pins_.valid && *pins_.ready;
        if (taken_) {
            bytes += kBeat;
            Burst& burst = bursts_[head_];
            if (burst.next++ == burst.length) head_ = (head_ + 1) % kBursts, count_--;
        }
        if (!*pins_.address.valid || !*pins_.address.ready) return;
        Burst& burst = bursts_[(head_ + count_++) % kBursts];
        burst.address = *pins_.address.addr;
        burst.length = *pins_.address.len;
        burst.next = 0;
        burst.due = memory.now + memory.read_latency;
        const uint64_t size = uint64_t(burst.length + 1) * kBeat, offset = burst.address - memory.base;
        if (burst.address >= memory.base && offset < memory.size && memory.size - offset >= size && size <= 4096)
            memcpy(burst.data, memory.bytes + offset, size);
        else
            memset(burst.data, 0xdb, sizeof burst.data);
    }

    // After the clock edge: a beat that was taken leaves.
    void retire() {
        if (taken_) *pins_.valid = 0;
    }

    bool busy() const { return count_; }

  private:
    struct Burst {
        uint64_t address, due;
        unsigned length, next;
        alignas(64) uint8_t data[4096];
    };
    ReadPins pins_;
    unsigned port_;
    const char* name_;
    AddressChannel channel_;
    Burst bursts_[kBursts];
    unsigned head_ = 0, count_ = 0;
    bool taken_ = false;
};

struct WritePins {
    AddressPins address;
    const uint8_t *data, *last, *valid;
    const void* strobe;
    uint8_t* ready;
    uint8_t *resp, *resp_valid;
    const uint8_t* resp_ready;
};

class WritePort {
  public:
    Bandwidth bandwidth;
    uint64_t bytes = 0;

    explicit WritePort(const WritePins& pins) : pins_(pins) {}

    void drive(Memory& memory) {
        const bool mute = memory.mute & kMuteWrite;
        *pins_.address.ready = count_ < kBursts && !mute && !memory.stalls();
        bandwidth.tick();
        *pins_.ready = filled_ < count_ && bandwidth.has() && !mute && !memory.stalls();
        if (*pins_.resp_valid || !filled_ || mute) return;
        Burst& burst = bursts_[head_];
        if (burst.due > memory.now || memory.stalls()) return;
        commit(memory, burst);
        *pins_.resp = burst.response;
        *pins_.resp_valid = 1;
    }

    void sample(Memory& memory) {
        channel_.check(memory, pins_.address, "The write port");
        check_data(memory);
        answered_ = *pins_.resp_valid && *pins_.resp_ready;
        if (*pins_.valid && *pins_.ready) take(memory);
        if (answered_) head_ = (head_ + 1) % kBursts, count_--, filled_--;
        if (!*pins_.address.valid || !*pins_.address.ready) return;
        Burst& burst = bursts_[(head_ + count_++) % kBursts];
        burst.address = *pins_.address.addr;
        burst.length = *pins_.address.len;
        burst.next = 0;
        burst.response = kOkay;
    }

    void retire() {
        if (answered_) *pins_.resp_valid = 0;
    }

    bool busy() const { return count_; }

  private:
    struct Burst {
        uint64_t address, due;
        unsigned length, next, response;
        uint8_t data[4096];
        uint64_t strobes[4096 / 64];         // one bit a byte
    };

    void check_data(Memory& memory) {
        if (waiting_ && (!*pins_.valid || memcmp(pins_.data, data_, kBeat) || memcmp(pins_.strobe, strobe_, sizeof strobe_)))
            memory.breach("The write port changed data that were not accepted, cycle %llu", (unsigned long long)memory.now);
        waiting_ = *pins_.valid && !*pins_.ready;
        if (waiting_) memcpy(data_, pins_.data, kBeat), memcpy(strobe_, pins_.strobe, sizeof strobe_);
    }

    void take(Memory& memory) {
        bandwidth.spend();
        bytes += kBeat;
        Burst& burst = bursts_[(head_ + filled_) % kBursts];
        const unsigned offset = burst.next * kBeat;
        memcpy(burst.data + offset, pins_.data, kBeat);
        memcpy(reinterpret_cast<uint8_t*>(burst.strobes) + offset / 8, pins_.strobe, kBeat / 8);
        const unsigned response = memory.response(burst.address + offset, kMuteWrite);
        if (response) burst.response = response;
        const bool last = burst.next++ == burst.length;
        if (last != bool(*pins_.last)) memory.breach("The write port's wlast is wrong in the burst at 0x%llx",
                                                     (unsigned long long)burst.address);
        if (last) burst.due = memory.now + memory.write_latency, filled_++;
    }

    void commit(Memory& memory, const Burst& burst) {
        if (burst.response) return;
        uint8_t* target = memory.bytes + (burst.address - memory.base);
        for (unsigned i = 0; i < (burst.length + 1) * kBeat; i++)
            if (burst.strobes[i / 64] >> (i % 64) & 1) target[i] = burst.data[i];
    }

    WritePins pins_;
    AddressChannel channel_;
    Burst bursts_[kBursts];
    unsigned head_ = 0, count_ = 0, filled_ = 0;   // bursts; those with all their data are the first `filled_`
    bool answered_ = false, waiting_ = false;
    uint8_t data_[kBeat] = {}, strobe_[kBeat / 8] = {};
};

}  // namespace sim
