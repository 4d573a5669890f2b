"""ffmpeg: frame threads, slice threads and filter threads, frame by frame."""

import os

GS = 20

FFMPEG = ["/usr/bin/ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error",
          "-y"]
SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=4"]


def run(half):
    def frames(*args):
        return half.run([*FFMPEG, *args, "-f", "framemd5", "-"]).out

    h264, mpeg = half.path("h264.mkv"), half.path("mpeg.avi")
    exact = ["-flags", "+bitexact", "-fflags", "+bitexact"]
    half.run([*FFMPEG, *SOURCE, "-c:v", "libx264", "-preset", "veryfast",
              "-threads", "4", *exact, h264])
    half.run([*FFMPEG, *SOURCE, "-c:v", "mpeg2video", "-threads", "4",
              "-b:v", "2M", *exact, mpeg])
    return {
        "h264": frames("-threads", "4", "-i", h264),
        "slices": frames("-threads", "4", "-thread_type", "slice", "-i", mpeg),
        "filters": frames("-filter_complex_threads", "4", "-filter_threads",
                          "4", "-i", h264, "-vf",
                          "scale=480:270,unsharp,hqdn3d"),
        "sizes": [os.path.getsize(h264), os.path.getsize(mpeg)],
    }
