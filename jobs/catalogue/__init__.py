"""What each error means, why it happens and what to do, in English and in Chinese.

*.toml        the catalogue itself: one entry for each thing that can be told
reading       the files become entries         entries    what an entry is
lookup        an answer or a word finds its entry
blanking      what differs from case to case is blanked out of a text
diagnosis     the entry of a failed job, and the fingerprint that groups failures
"""
