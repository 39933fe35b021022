// ZeroMQ behind a handful of C functions: one publishing socket, and one that repeats what was published.
//
// The library is loaded when the first publisher is opened: a machine without it runs everything else. Its functions are
// declared here (their ABI has been fixed since version 4.0), so that no headers are needed to build.
#ifndef WEIR_ZMQ_H
#define WEIR_ZMQ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Two sockets with their context. Used by one thread at a time, but for `weir_zmq_wake`.
typedef struct weir_zmq weir_zmq;

/// Longest identity of a peer that asks for repetition.
#define WEIR_ZMQ_IDENTITY_BYTES 255

/// Binds a PUB socket, and a ROUTER socket unless `replay_endpoint` is NULL. `high_water`: messages that wait for one
/// slow subscriber before it misses some, `replay_high_water` for one who asks for repetition. Returns NULL and a reason if that is impossible.
weir_zmq *weir_zmq_open(
    const char *endpoint, const char *replay_endpoint, int high_water, int replay_high_water, char *reason,
    size_t reason_bytes);
void weir_zmq_close(weir_zmq *sockets);

/// The address a socket is bound to, with the port that the system chose. Empty if there is no such socket.
const char *weir_zmq_endpoint(const weir_zmq *sockets, bool replay);

/// Sends `topic`, the number in eight big-endian bytes, and `payload` to every subscriber. Never waits.
bool weir_zmq_publish(
    weir_zmq *sockets, const uint8_t *topic, size_t topic_bytes, int64_t number, const uint8_t *payload,
    size_t payload_bytes);

/// Waits until somebody asks for repetition or wakes, at most `milliseconds`.
void weir_zmq_wait(weir_zmq *sockets, int milliseconds);
/// Ends a wait; from any thread.
void weir_zmq_wake(weir_zmq *sockets);

/// Takes one request for repetition: who asks (room for WEIR_ZMQ_IDENTITY_BYTES) and from which number on. Returns the
/// bytes of the identity, 0 if nobody asks. Requests of another form are dropped.
size_t weir_zmq_request(weir_zmq *sockets, uint8_t *identity, int64_t *number);
/// Repeats one message to whoever asked; the number -1 ends the repetition.
bool weir_zmq_reply(
    weir_zmq *sockets, const uint8_t *identity, size_t identity_bytes, const uint8_t *topic, size_t topic_bytes,
    int64_t number, const uint8_t *payload, size_t payload_bytes);
#endif
