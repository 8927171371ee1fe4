"""A file of requests becomes stored jobs, once per key, bad lines beside the good ones.

records    the file as records, whatever is wrong with it     lines, rows: the two formats
taking     records become jobs, batch by batch                rejects: what must be mended
"""
