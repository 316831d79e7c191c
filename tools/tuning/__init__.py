"""The search for the fastest plan of each kernel; `stepwell tune` is its command."""
