"""What plugwave costs beside the requests it makes: ratios, from interleaved rounds."""
