"""Other queues on the same POST-only work: one module each, all with the same two functions.

`enqueue(address, jobs)` stores the jobs durably, as fast as the library's own interface allows;
`work(address, poster)` runs one worker of the library in this process until the queue is empty.
What a job does is `posting.Poster.post`: the request and the session of the bare loop.
"""
