/* A trace in the format that Perfetto's UI opens (ui.perfetto.dev). */
#ifndef TOOLS_TRACE_PERFETTO_H
#define TOOLS_TRACE_PERFETTO_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/trace/events.h"
#include "tools/trace/exports.h"

/* False with errno set when it could not be written, or ENOMEM. */
bool perfetto_write(const struct events *ev, const struct exports *ex, FILE *f);

#endif
