-- One script for every case; what to send comes by environment, because wrk hands arguments to init() only, after the request is built.
-- BENCH_IDS names a file of ticket ids, one a line: `{id}` in the path takes the next. BENCH_ONCE: never the same one twice.

local path = os.getenv("BENCH_PATH")
local ids_file = os.getenv("BENCH_IDS")
local once = os.getenv("BENCH_ONCE") == "1"
local threads = tonumber(os.getenv("BENCH_THREADS"))
local started = 0

wrk.method = os.getenv("BENCH_METHOD")
wrk.path = path
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION")
if wrk.body then
   wrk.headers["Content-Type"] = "application/json"
end

-- Runs once for each thread before that thread starts: gives it a slice of the ids that no other thread touches.
function setup(thread)
   thread:set("slice", started)
   started = started + 1
end

if ids_file then
   local ids, next_id = {}, 1
   local before, after = path:match("^(.*){id}(.*)$")

   function init()
      local line_number = 0
      for line in io.lines(ids_file) do
         if line_number % threads == slice then
            ids[#ids + 1] = line
         end
         line_number = line_number + 1
      end
   end

   -- The connections of a thread share its slice one request at a time, so no two of them meet on a ticket either.
   function request()
      local id = ids[next_id]
      if id == nil then
         -- A second reply to a ticket stops no clock: better no figure than that one.
         io.stderr:write("out of tickets after ", #ids, " in one thread\n")
         os.exit(3)
      end
      next_id = next_id + 1
      if next_id > #ids and not once then
         next_id = 1
      end
      return wrk.format(nil, before .. id .. after)
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nBENCH {"requests": %d, "micros": %d, "p50_micros": %d, "p99_micros": %d, "status": %d, "socket": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
