/* What client.c measures with: the command line's values, the line of JSON, the deadline and the
 * meter, as report.rs and meter.rs of the Rust program have them. Nothing here speaks AMQP. */

#ifndef MEASURE_H
#define MEASURE_H

#include <amqp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_EXTRA = 20, MAX_LATENCIES = 1 << 22 };

static struct {
  const char *case_name, *url;
  double seconds;
} options = {"", NULL, 1.0};

/* ---- the line of JSON ---- */

static struct {
  uint64_t messages;
  double seconds, cpu_us_per_message, switches_per_message;
  long rss_start_kib;
} result;

static uint32_t *latencies; /* nanoseconds each, of the measured phase only */
static size_t latency_count;

static long status_kib(const char *field) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0) kib = strtol(line + strlen(field), NULL, 10);
  }
  fclose(file);
  return kib;
}

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void print_string(const char *text) {
  putchar('"');
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') putchar('\\');
    putchar(c < 0x20 ? ' ' : c);
  }
  putchar('"');
}

static void print_subject(void) {
  printf("{\"client\":\"librabbitmq\",\"version\":");
  print_string(amqp_version());
  printf(",\"case\":");
  print_string(options.case_name);
  printf(",\"workers\":1,");
}

static void print_quantile(const char *name, double share) {
  if (latency_count == 0) {
    printf("\"%s\":null,", name);
  } else {
    printf("\"%s\":%.3f,", name, latencies[(size_t)(share * (double)(latency_count - 1))] / 1000.0);
  }
}

static void print_result(void) {
  print_subject();
  if (latency_count > 0) qsort(latencies, latency_count, sizeof *latencies, compare_u32);
  print_quantile("p50_us", 0.5);
  print_quantile("p99_us", 0.99);
  unsigned long long messages = result.messages;
  printf("\"messages\":%llu,\"seconds\":%.6f,", messages, result.seconds);
  printf("\"per_second\":%.3f,", (double)result.messages / result.seconds);
  printf("\"cpu_us_per_message\":%.6f,", result.cpu_us_per_message);
  printf("\"voluntary_switches_per_message\":%.6f,", result.switches_per_message);
  printf("\"rss_start_kib\":%ld,\"rss_peak_kib\":%ld,", result.rss_start_kib, status_kib("VmHWM:"));
  printf("\"extra\":{},\"error\":null}\n");
}

/* Nothing measured, but told: a failure of the client is a result of the benchmark. */
static _Noreturn void fail(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  print_subject();
  printf("\"error\":");
  print_string(text);
  printf("}\n");
  fflush(stdout);
  _exit(0);
}

/* Composed before the work begins: a signal handler may not. */
static char deadline_line[512];
static size_t deadline_length;

static void on_deadline(int signal_number) {
  (void)signal_number;
  ssize_t written = write(STDOUT_FILENO, deadline_line, deadline_length);
  _exit(written < 0);
}

static void set_deadline(void) {
  struct sigaction action = {.sa_handler = on_deadline};
  unsigned seconds = (unsigned)(options.seconds + 0.999) + DEADLINE_EXTRA;
  int length = snprintf(deadline_line, sizeof deadline_line,
                        "{\"client\":\"librabbitmq\",\"version\":\"%s\",\"case\":\"%s\","
                        "\"workers\":1,\"error\":\"not over after %u seconds\"}\n",
                        amqp_version(), options.case_name, seconds);
  if (length < 0 || (size_t)length >= sizeof deadline_line) fail("the case's name is too long");
  deadline_length = (size_t)length;
  sigaction(SIGALRM, &action, NULL);
  alarm(seconds);
}

/* ---- the meter: a warm-up, then the phase that counts, as in meter.rs ---- */

static struct {
  int phase;        /* 0 before the first, 1 the warm-up, 2 what counts */
  uint64_t count;   /* in this phase */
  uint64_t total;   /* in both */
  uint64_t check;   /* the count at which the clock is looked at next */
  uint64_t stride;  /* how often that is */
  uint64_t at_most; /* in both; 0 is without bound */
  double start, end;
  struct rusage usage;
} meter;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double warm_up(void) {
  double seconds = options.seconds / 10.0;
  return seconds < 0.05 ? 0.05 : seconds > 0.3 ? 0.3 : seconds;
}

static double cpu_us(const struct rusage *usage) {
  return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 +
         (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* Connected and ready. */
static void meter_make(size_t body) {
  result.rss_start_kib = status_kib("VmRSS:");
  meter.stride = body <= 4096 ? 64 : body <= 131072 ? 8 : 1;
}

/* Looks at the clock after each message: for cases whose single step takes microseconds anyway. */
static void meter_each(void) {
  meter.stride = 1;
}

static void meter_finish(double time, const struct rusage *usage) {
  double count = meter.count > 0 ? (double)meter.count : 1.0;
  result.messages = meter.count;
  result.seconds = time - meter.start;
  result.cpu_us_per_message = (cpu_us(usage) - cpu_us(&meter.usage)) / count;
  result.switches_per_message = (double)(usage->ru_nvcsw - meter.usage.ru_nvcsw) / count;
}

/* Ends a phase and begins the next; false when there is none. */
static bool meter_phase(void) {
  double time = now();
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  if (meter.phase == 2) {
    meter_finish(time, &usage);
    return false;
  }
  meter.end = time + (meter.phase == 0 ? warm_up() : options.seconds);
  meter.phase++;
  meter.count = meter.check = 0;
  meter.start = time;
  meter.usage = usage;
  return true;
}

/* Whether there is time in this phase for one more message, which is then counted. */
static inline bool meter_tick(void) {
  if (meter.at_most > 0 && meter.total >= meter.at_most) return false;
  if (meter.count == meter.check) {
    if (now() >= meter.end) return false;
    meter.check += meter.stride;
  }
  meter.count++;
  meter.total++;
  return true;
}

static void meter_latency(double seconds) {
  if (meter.phase == 2 && latency_count < MAX_LATENCIES) {
    latencies[latency_count++] = (uint32_t)(seconds * 1e9);
  }
}

#endif
