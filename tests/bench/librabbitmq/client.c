/* One measurement with librabbitmq (rabbitmq-c), for comparison: the same command line, the same
 * cases and the same line of JSON as the Rust program `client`. Run by `cargo xtask bench`.
 *
 * The library is used as its documentation and examples show, in the fastest correct way: one
 * thread, blocking calls, deliveries read with amqp_consume_message, buffers released now and then.
 * A SIGALRM is the deadline of every wait. */

#define _GNU_SOURCE

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include "measure.h"

enum { CHANNEL = 1, FRAME_MAX = 131072, PREFETCH = 500, KEPT = 1000, FILL_WINDOW = 1000 };

/* As in cases.rs. */
#define DISCARD "discard"
#define ECHO "echo"
enum { HEADERS_MAX = 10 };

/* ---- the connection ---- */

static amqp_connection_state_t connection;

static void check(int status, const char *what) {
  if (status != AMQP_STATUS_OK) fail("%s: %s", what, amqp_error_string2(status));
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
    fail("%s: %s", what, amqp_error_string2(reply.library_error));
  }
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
      reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *close = reply.reply.decoded;
    fail("%s: channel closed: %.*s", what, (int)close->reply_text.len,
         (const char *)close->reply_text.bytes);
  }
  fail("%s: refused", what);
}

static amqp_connection_state_t open_connection(void) {
  char *url = strdup(options.url); /* amqp_parse_url writes into it */
  struct amqp_connection_info info;
  if (url == NULL) fail("out of memory");
  check(amqp_parse_url(url, &info), "url");
  amqp_connection_state_t state = amqp_new_connection();
  amqp_socket_t *socket = state == NULL ? NULL : amqp_tcp_socket_new(state);
  if (socket == NULL) fail("out of memory");
  check(amqp_socket_open(socket, info.host, info.port), "connect");
  check_reply(amqp_login(state, info.vhost, 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, info.user,
                         info.password),
              "login");
  free(url);
  return state;
}

static void close_connection(amqp_connection_state_t state) {
  check_reply(amqp_connection_close(state, AMQP_REPLY_SUCCESS), "connection.close");
  check(amqp_destroy_connection(state), "destroy connection");
}

static void open_channel(void) {
  amqp_channel_open(connection, CHANNEL);
  check_reply(amqp_get_rpc_reply(connection), "channel.open");
}

static void start(void) {
  connection = open_connection();
  open_channel();
}

/* ---- publishing ---- */

static amqp_bytes_t make_body(size_t octets) {
  amqp_bytes_t body = amqp_bytes_malloc(octets);
  if (body.bytes == NULL) fail("out of memory");
  memset(body.bytes, 'x', octets);
  return body;
}

/* As `headers` in cases.rs. */
static amqp_basic_properties_t make_properties(int headers) {
  static amqp_table_entry_t entries[HEADERS_MAX];
  static char names[HEADERS_MAX][32], texts[HEADERS_MAX][32];
  amqp_basic_properties_t properties;
  memset(&properties, 0, sizeof properties);
  for (int n = 0; n < headers; n++) {
    snprintf(names[n], sizeof names[n], "x-header-%d", n);
    entries[n].key = amqp_cstring_bytes(names[n]);
    if (n % 2 == 0) {
      snprintf(texts[n], sizeof texts[n], "the value of header %d", n);
      entries[n].value.kind = AMQP_FIELD_KIND_UTF8;
      entries[n].value.value.bytes = amqp_cstring_bytes(texts[n]);
    } else {
      entries[n].value.kind = AMQP_FIELD_KIND_I64;
      entries[n].value.value.i64 = n;
    }
    properties._flags = AMQP_BASIC_HEADERS_FLAG;
    properties.headers.num_entries = headers;
    properties.headers.entries = entries;
  }
  return properties;
}

static void publish_to(amqp_bytes_t queue, const amqp_basic_properties_t *properties,
                       amqp_bytes_t body) {
  check(amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes, queue, 0, 0, properties, body),
        "basic.publish");
}

static void run_publish(size_t octets, int headers) {
  start();
  amqp_bytes_t body = make_body(octets), queue = amqp_cstring_bytes(DISCARD);
  amqp_basic_properties_t properties = make_properties(headers);
  meter_make(octets);
  while (meter_phase()) {
    while (meter_tick()) publish_to(queue, &properties, body);
    /* The sink answers how many messages it has received, after all that was written before. */
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(connection, CHANNEL, queue, 1, 0, 0, 0, amqp_empty_table);
    check_reply(amqp_get_rpc_reply(connection), "queue.declare");
    if (ok->message_count != (uint32_t)meter.total) {
      fail("%llu messages were published, the sink has received %u",
           (unsigned long long)meter.total, (unsigned)ok->message_count);
    }
    amqp_maybe_release_buffers(connection);
  }
}

static uint64_t published, confirmed;

static void select_confirms(void) {
  amqp_confirm_select(connection, CHANNEL);
  check_reply(amqp_get_rpc_reply(connection), "confirm.select");
}

/* Waits for one frame, which must be a confirmation. */
static void read_confirmation(void) {
  amqp_frame_t frame;
  check(amqp_simple_wait_frame(connection, &frame), "wait for a confirmation");
  if (frame.frame_type != AMQP_FRAME_METHOD) {
    fail("a frame of type %d in place of a confirmation", frame.frame_type);
  }
  amqp_method_number_t method = frame.payload.method.id;
  if (method != AMQP_BASIC_ACK_METHOD) fail("%s in place of basic.ack", amqp_method_name(method));
  amqp_basic_ack_t *ack = frame.payload.method.decoded;
  /* Never more than were confirmed, whatever the order of single and multiple acks. */
  if (!ack->multiple) {
    confirmed++;
  } else if (ack->delivery_tag > confirmed) {
    confirmed = ack->delivery_tag;
  }
  amqp_maybe_release_buffers(connection);
}

static void publish_confirmed(amqp_bytes_t queue, const amqp_basic_properties_t *properties,
                              amqp_bytes_t body, uint64_t window) {
  while (published - confirmed >= window) read_confirmation();
  publish_to(queue, properties, body);
  published++;
}

static void settle(void) {
  while (confirmed < published) read_confirmation();
}

static void run_publish_confirm(const char *queue_name, size_t octets, uint64_t window) {
  amqp_bytes_t body = make_body(octets), queue = amqp_cstring_bytes(queue_name);
  amqp_basic_properties_t properties = make_properties(0);
  select_confirms();
  meter_make(octets);
  while (meter_phase()) {
    while (meter_tick()) publish_confirmed(queue, &properties, body, window);
    settle();
  }
}

/* ---- consuming ---- */

static void consume_from(const char *queue, int prefetch) {
  if (prefetch > 0) {
    amqp_basic_qos(connection, CHANNEL, 0, (uint16_t)prefetch, 0);
    check_reply(amqp_get_rpc_reply(connection), "basic.qos");
  }
  amqp_bytes_t tag = amqp_cstring_bytes("consumer");
  amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(queue), tag, 0, prefetch == 0, 0,
                     amqp_empty_table);
  check_reply(amqp_get_rpc_reply(connection), "basic.consume");
}

static uint64_t next_delivery(size_t octets) {
  amqp_envelope_t envelope;
  check_reply(amqp_consume_message(connection, &envelope, NULL, 0), "consume");
  uint64_t tag = envelope.delivery_tag;
  if (envelope.message.body.len != octets) {
    fail("a delivery of %zu octets in place of %zu", envelope.message.body.len, octets);
  }
  amqp_destroy_envelope(&envelope);
  return tag;
}

static void run_consume(const char *queue, size_t octets, int prefetch) {
  meter_make(octets);
  consume_from(queue, prefetch);
  while (meter_phase()) {
    while (meter_tick()) {
      uint64_t tag = next_delivery(octets);
      if (prefetch > 0) check(amqp_basic_ack(connection, CHANNEL, tag, 0), "basic.ack");
      if (meter.count % 64 == 0) amqp_maybe_release_buffers(connection);
    }
  }
}

/* ---- round trips, connections, channels ---- */

static void run_rpc(const char *queue, size_t octets) {
  amqp_bytes_t body = make_body(octets), key = amqp_cstring_bytes(queue);
  amqp_basic_properties_t properties = make_properties(0);
  latencies = malloc(MAX_LATENCIES * sizeof *latencies);
  if (latencies == NULL) fail("out of memory");
  consume_from(queue, 0);
  meter_make(octets);
  meter_each();
  while (meter_phase()) {
    while (meter_tick()) {
      double asked = now();
      publish_to(key, &properties, body);
      next_delivery(octets);
      meter_latency(now() - asked);
      amqp_maybe_release_buffers(connection);
    }
  }
}

static void run_connections(void) {
  meter_make(0);
  meter_each();
  while (meter_phase()) {
    while (meter_tick()) close_connection(open_connection());
  }
}

static void run_channels(void) {
  connection = open_connection();
  meter_make(0);
  meter_each();
  while (meter_phase()) {
    while (meter_tick()) {
      open_channel();
      check_reply(amqp_channel_close(connection, CHANNEL, AMQP_REPLY_SUCCESS), "channel.close");
      amqp_maybe_release_buffers(connection);
    }
  }
}

/* ---- against a broker ---- */

/* A queue of our own, exclusive and deleted automatically, of at most `max_length` messages if that
 * is not 0. */
static const char *declare_queue(int32_t max_length) {
  static char name[256];
  amqp_table_entry_t entry;
  amqp_table_t arguments = amqp_empty_table;
  snprintf(name, sizeof name, "%s-%d", options.case_name, (int)getpid());
  if (max_length > 0) {
    entry.key = amqp_cstring_bytes("x-max-length");
    entry.value.kind = AMQP_FIELD_KIND_I32;
    entry.value.value.i32 = max_length;
    arguments.num_entries = 1;
    arguments.entries = &entry;
  }
  amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(name), 0, 0, 1, 1, arguments);
  check_reply(amqp_get_rpc_reply(connection), "queue.declare");
  return name;
}

/* Puts more messages into the queue than can be consumed in the time, and says how many. */
static uint64_t fill(const char *queue_name, size_t octets) {
  double wanted = (options.seconds + warm_up()) * 120000.0;
  uint64_t count = wanted < 20000.0 ? 20000 : wanted > 600000.0 ? 600000 : (uint64_t)wanted;
  amqp_bytes_t body = make_body(octets), queue = amqp_cstring_bytes(queue_name);
  amqp_basic_properties_t properties = make_properties(0);
  select_confirms();
  for (uint64_t n = 0; n < count; n++) publish_confirmed(queue, &properties, body, FILL_WINDOW);
  settle();
  amqp_bytes_free(body);
  return count;
}

static void run_broker_consume(size_t octets) {
  start();
  const char *queue = declare_queue(0);
  meter.at_most = fill(queue, octets);
  check_reply(amqp_channel_close(connection, CHANNEL, AMQP_REPLY_SUCCESS), "channel.close");
  open_channel();
  run_consume(queue, octets, PREFETCH);
}

/* ---- the cases ---- */

/* The number of octets that a case's name ends with, and false if it does not end so. */
static bool size_of(const char *name, const char *begin, size_t *octets) {
  static const struct {
    const char *label;
    size_t octets;
  } sizes[] = {{"16", 16}, {"1k", 1 << 10}, {"64k", 64 << 10}, {"1m", 1 << 20}};
  size_t length = strlen(begin);
  if (strncmp(name, begin, length) != 0) return false;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (strcmp(name + length, sizes[i].label) == 0) {
      *octets = sizes[i].octets;
      return true;
    }
  }
  return false;
}

static void run(const char *name) {
  size_t octets = 0;
  char queue[32];
  if (size_of(name, "publish-confirm-", &octets)) {
    start();
    run_publish_confirm(DISCARD, octets, 1000);
  } else if (strcmp(name, "publish-confirm-window-10") == 0) {
    start();
    run_publish_confirm(DISCARD, 16, 10);
  } else if (strcmp(name, "publish-confirm-window-10000") == 0) {
    start();
    run_publish_confirm(DISCARD, 16, 10000);
  } else if (strcmp(name, "publish-headers-10") == 0) {
    run_publish(16, 10);
  } else if (size_of(name, "publish-", &octets)) {
    run_publish(octets, 0);
  } else if (strcmp(name, "consume-headers-10") == 0) {
    start();
    run_consume("flood.16.h10", 16, 0);
  } else if (size_of(name, "consume-ack-", &octets) || size_of(name, "consume-", &octets)) {
    snprintf(queue, sizeof queue, "flood.%zu", octets);
    start();
    run_consume(queue, octets, strstr(name, "-ack-") != NULL ? PREFETCH : 0);
  } else if (strcmp(name, "rpc") == 0) {
    start();
    run_rpc(ECHO, 16);
  } else if (strcmp(name, "connections") == 0) {
    run_connections();
  } else if (strcmp(name, "channels") == 0) {
    run_channels();
  } else if (size_of(name, "broker-publish-confirm-", &octets)) {
    start();
    run_publish_confirm(declare_queue(KEPT), octets, 1000);
  } else if (size_of(name, "broker-consume-ack-", &octets)) {
    run_broker_consume(octets);
  } else if (strcmp(name, "broker-rpc") == 0) {
    start();
    run_rpc(declare_queue(0), 16);
  } else {
    fail("unsupported: librabbitmq has one thread and no tasks, or the case is not written for it");
  }
}

int main(int count, char **arguments) {
  for (int i = 1; i + 1 < count; i += 2) {
    if (strcmp(arguments[i], "--case") == 0) options.case_name = arguments[i + 1];
    if (strcmp(arguments[i], "--url") == 0) options.url = arguments[i + 1];
    if (strcmp(arguments[i], "--seconds") == 0) options.seconds = strtod(arguments[i + 1], NULL);
  }
  bool sensible = options.seconds > 0.0 && options.seconds < 3600.0;
  if (options.url == NULL || options.case_name[0] == '\0' || !sensible) {
    fprintf(stderr,
            "client --case NAME --url amqp://guest:guest@127.0.0.1:PORT/%%2f [--seconds S]\n"
            "--client, --workers and --target are accepted and mean nothing\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  set_deadline();
  run(options.case_name);
  print_result();
  fflush(stdout);
  _exit(0);
}
