// The way between the accelerator's memory ports and the DDR4 controller of a Zynq UltraScale+, in accelerator cycles.
//
// A port cuts bursts into pieces of 16 beats, the longest burst inside the processor system, and has only so many of
// them on the way. Ports share lines (the controller's own AXI ports, "XPI"). A line takes one piece at a time from its
// ports in turn, has only so many transfers on the way, and gives data back in the order of its requests. The lines
// take turns at the controller, a transfer a clock; writes pass when no read does.

#pragma once
#include "ddr_controller.h"

namespace sim {

constexpr unsigned kPorts = 4, kLines = 4, kRing = 64;   // kRing: largest of every queue on the way

// A first-in first-out of up to kRing items; the state of the model is plain bytes, so that it can be saved.
template <typename T>
class Ring {
  public:
    unsigned count() const { return in_ - out_; }
    bool full() const { return count() == kRing; }
    unsigned push(const T& item) {
        items_[in_ % kRing] = item;
        return in_++ % kRing;
    }
    T& front() { return items_[out_ % kRing]; }
    T& at(unsigned place) { return items_[place]; }
    T pop() { return items_[out_++ % kRing]; }

  private:
    T items_[kRing];
    uint32_t in_ = 0, out_ = 0;
};

class DdrModel {
  public:
    explicit DdrModel(const DdrParameters& p) : p_(p), controller_(p) {}

    // Whether `port` takes another burst; the burst; whether its next `bytes` have come, in order; and their leaving.
    bool room(unsigned port) const { return !ports_[port].bursts.full(); }
    void read(unsigned port, uint64_t address, unsigned bytes, unsigned beat_bytes) {
        ports_[port].bursts.push({address, address + bytes, beat_bytes * p_.piece_beats});
    }
    bool readable(unsigned port, unsigned bytes) const { return ports_[port].arrived - ports_[port].taken >= bytes; }
    void take(unsigned port, unsigned bytes) {
        Port& q = ports_[port];
        q.taken += bytes;
        while (q.ends.count() && q.taken >= q.ends.front()) q.ends.pop();
    }

    // Whether `port` takes another beat of data to write; the beat, which is the `last` of its burst or not; and the
    // number of bursts whose writing is certain.
    bool writable(unsigned port) const { return ports_[port].writes.count() < p_.write_transfers && !ports_[port].answers.full(); }
    void write(unsigned port, uint64_t address, unsigned bytes, bool last) {
        Port& q = ports_[port];
        const uint64_t next = address + bytes;
        if (!last && next % kTransfer) return;       // the transfer is not full yet
        q.writes.push({(next - 1) / kTransfer * kTransfer, controller_.now + p_.request_latency, last});
    }
    uint64_t written(unsigned port) const { return ports_[port].written; }

    // One cycle of the accelerator.
    void tick() {
        phase_ += p_.controller_khz;
        while (phase_ >= p_.clock_khz) phase_ -= p_.clock_khz, clock();
    }

  private:
    struct Burst {
        uint64_t address, end;
        uint32_t piece_bytes;
    };
    struct Piece {
        uint64_t address, end, at;                   // at the line from clock `at` on
    };
    struct Write {
        uint64_t address, at;
        bool last;
    };
    struct Answer {
        uint64_t at;
        uint32_t bytes;
    };
    struct Port {
        Ring<Burst> bursts;
        Ring<Piece> pieces;
        Ring<uint64_t> ends;                         // of the pieces on the way, in bytes read on this port
        Ring<Answer> data;
        uint64_t asked = 0, arrived = 0, taken = 0;  // bytes
        Ring<Write> writes;
        Ring<uint64_t> answers;                      // clocks from which bursts count as written
        uint64_t written = 0;
    };
    // A transfer on the way, in the order of requests.
    struct Flight {
        uint64_t at;                                 // at the line from this clock on; kNever: not read yet
        uint32_t bytes;
        uint8_t port;
    };
    struct Line {
        bool busy = false;                           // has a piece, of `port`
        unsigned port = 0, next = 0;
        Piece piece;
        Ring<Flight> flights;
        uint64_t free = 0;                           // from when on its data wires are free
    };
    static constexpr uint64_t kNever = ~uint64_t(0);

    void clock() {
        for (Port& q : ports_) cut(q);
        for (unsigned n = 0; n < kLines; n++) pick(n);
        if (!request()) request_write();
        Transfer read;
        if (controller_.tick(&read))
            lines_[read.line].flights.at(read.tag).at = controller_.now + p_.read_latency;
        for (Line& line : lines_) answer(line);
        for (Port& q : ports_) {
            while (q.data.count() && q.data.front().at <= controller_.now) q.arrived += q.data.pop().bytes;
            while (q.answers.count() && q.answers.front() <= controller_.now) q.answers.pop(), q.written++;
        }
    }

    // Sends one piece of the oldest burst on its way.
    void cut(Port& q) {
        if (!q.bursts.count() || q.ends.count() >= p_.port_pieces) return;
        Burst& burst = q.bursts.front();
        const uint64_t rest = burst.end - burst.address, size = rest < burst.piece_bytes ? rest : burst.piece_bytes;
        q.pieces.push({burst.address, burst.address + size, controller_.now + p_.request_latency});
        q.ends.push(q.asked += size);
        burst.address += size;
        if (burst.address == burst.end) q.bursts.pop();
    }

    // Gives a line that has none the next piece, of its ports in turn.
    void pick(unsigned n) {
        Line& line = lines_[n];
        for (unsigned k = 0; k < kPorts && !line.busy; k++) {
            const unsigned port = (line.next + k) % kPorts;
            Ring<Piece>& pieces = ports_[port].pieces;
            if (p_.line_of_port[port] != n || !pieces.count() || pieces.front().at > controller_.now) continue;
            line.busy = true, line.port = port, line.piece = pieces.pop(), line.next = port + 1;
        }
    }

    // Hands one read of the lines, in turn, to the controller.
    bool request() {
        if (controller_.reads.count >= p_.read_entries) return false;
        for (unsigned k = 0; k < kLines; k++) {
            const unsigned n = (turn_ + k) % kLines;
            Line& line = lines_[n];
            if (!line.busy || line.flights.count() >= p_.line_transfers) continue;
            Piece& piece = line.piece;
            const uint64_t border = (piece.address / kTransfer + 1) * kTransfer, end = border < piece.end ? border : piece.end;
            const unsigned tag = line.flights.push({kNever, uint32_t(end - piece.address), uint8_t(line.port)});
            controller_.reads.push(controller_.place(piece.address, n, tag));
            piece.address = end;
            line.busy = end != piece.end;
            turn_ = n + 1;
            return true;
        }
        return false;
    }

    void request_write() {
        if (controller_.writes.count >= p_.write_entries) return;
        for (unsigned k = 0; k < kPorts; k++) {
            Port& q = ports_[(write_turn_ + k) % kPorts];
            if (!q.writes.count() || q.writes.front().at > controller_.now) continue;
            const Write write = q.writes.pop();
            controller_.writes.push(controller_.place(write.address, 0, 0));
            if (write.last) q.answers.push(controller_.now + p_.response_latency);
            write_turn_ = (write_turn_ + k + 1) % kPorts;
            return;
        }
    }

    // Sends the oldest transfer of a line to its port.
    void answer(Line& line) {
        if (!line.flights.count() || line.free > controller_.now || line.flights.front().at > controller_.now) return;
        const Flight flight = line.flights.pop();
        line.free = controller_.now + p_.line_clocks;
        ports_[flight.port].data.push({line.free + p_.response_latency, flight.bytes});
    }

    DdrParameters p_;
    DdrController controller_;
    Port ports_[kPorts];
    Line lines_[kLines];
    unsigned turn_ = 0, write_turn_ = 0;
    uint32_t phase_ = 0;
};

}  // namespace sim
