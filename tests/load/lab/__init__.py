"""What tests/load/bench, growth and soak share: servers to start, load to make, pages to write.

Everything runs on this machine, in directories that are removed, and every server is ended with its measurement.
"""
