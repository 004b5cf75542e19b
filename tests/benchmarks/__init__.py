"""Speed and memory of the audit beside cleanlab and beside what reading and writing alone cost."""
