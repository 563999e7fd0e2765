// When the memory answers: after a fixed time and at a bandwidth of each port, or of all together, or as DDR does.

#pragma once
#include <cstdint>
#include <type_traits>

#include "ddr_model.h"

namespace sim {

// Bytes that may pass: `rate` in 1/65536 bytes per cycle, saved up to `limit`, below zero what was let pass in advance.
struct Bandwidth {
    int64_t rate = 0, credit = 0, limit = 0;
    void set(double bytes_per_cycle, unsigned most) { rate = int64_t(bytes_per_cycle * 65536), limit = int64_t(most) << 16; }
    void tick() {
        credit += rate;
        if (credit > limit) credit = limit;
    }
    bool has(unsigned bytes) const { return credit >= int64_t(bytes) << 16; }
    void spend(unsigned bytes) { credit -= int64_t(bytes) << 16; }
};

enum Model : unsigned { kFixed = 0, kFlat = 1, kDdr = 2 };

// Port kPorts is the direction of writes in what follows; it belongs to port 0.
class Timing {
  public:
    Timing(Model model, unsigned read_latency, unsigned write_latency, double bytes_per_cycle, unsigned beat_bytes,
           const DdrParameters& ddr)
        : model_(model), read_latency_(read_latency), write_latency_(write_latency), beat_(beat_bytes), ddr_(ddr) {
        for (Bandwidth& bandwidth : bandwidths_) bandwidth.set(bytes_per_cycle, 16 * beat_);
    }

    void tick() {
        if (model_ == kDdr) return ddr_.tick();
        now_++;
        for (unsigned n = 0; n < (model_ == kFlat ? 1 : kPorts + 1); n++) bandwidths_[n].tick();
    }

    // Whether another burst of reads is taken; the burst, with the time that `readable` wants back; whether its next
    // beat may pass; and that it does.
    bool room(unsigned port) const { return model_ != kDdr || ddr_.room(port); }
    uint64_t read(unsigned port, uint64_t address, unsigned bytes) {
        if (model_ == kDdr) ddr_.read(port, address, bytes, beat_);
        return now_ + read_latency_;
    }
    bool readable(unsigned port, uint64_t due) const {
        return model_ == kDdr ? ddr_.readable(port, beat_) : due <= now_ && bandwidth(port).has(beat_);
    }
    void take(unsigned port) { model_ == kDdr ? ddr_.take(port, beat_) : bandwidth(port).spend(beat_); }

    // The same for beats to be written; `write` gives the time that `written` wants back after the last one. Where all share
    // a bandwidth, writes take theirs in advance: reads that never cease would leave them none.
    bool writable() const {
        return model_ == kDdr ? ddr_.writable(0) : bandwidth(kPorts).has(model_ == kFlat ? 0 : beat_);
    }
    uint64_t write(uint64_t address, bool last) {
        bursts_ += last;
        if (model_ == kDdr) return ddr_.write(0, address, beat_, last), bursts_;
        bandwidth(kPorts).spend(beat_);
        return now_ + write_latency_;
    }
    bool written(uint64_t due) const { return (model_ == kDdr ? ddr_.written(0) : now_) >= due; }

  private:
    const Bandwidth& bandwidth(unsigned port) const { return bandwidths_[model_ == kFlat ? 0 : port]; }
    Bandwidth& bandwidth(unsigned port) { return bandwidths_[model_ == kFlat ? 0 : port]; }

    Model model_;
    unsigned read_latency_, write_latency_, beat_;
    uint64_t now_ = 0, bursts_ = 0;
    Bandwidth bandwidths_[kPorts + 1];
    DdrModel ddr_;
};

static_assert(std::is_trivially_copyable_v<Timing>, "a checkpoint copies its bytes");

}  // namespace sim
