//! New elements of a Redis list, whichever end its writers push to.
//!
//! The ends of the list at the last reading are searched in the next one: elements before them at the head and behind
//! them at the tail are new. So each element is read once, even if writers use both ends or the list is trimmed.

use std::collections::VecDeque;

/// An element as it is in the list.
pub(super) type Element = Vec<u8>;

/// Elements of each end that are remembered.
pub(super) const MARKS: usize = 8;
/// Readings whose heads are remembered. Redis that was killed comes back as it was seconds before.
const REMEMBERED: usize = 8;
/// Factor by which the next look is wider where the ends were not found.
const WIDEN: usize = 4;
/// The most elements of each end that are asked for at once: Redis serves no other client while it reads them,
/// and all of them are held in memory.
pub(super) const MOST_WINDOW: usize = 1 << 18;

/// A list at one moment: its length, and the elements of each end that were asked for, in the list's order.
#[derive(Debug, Clone, Default)]
pub(super) struct ListView {
    pub(super) len: usize,
    pub(super) head: Vec<Element>,
    pub(super) tail: Vec<Element>,
}

/// The result of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LookResult {
    /// These elements are new.
    New(Vec<Element>),
    /// More is needed: this number of elements of each end.
    Widen(usize),
}

/// New elements at the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grown {
    head: usize,
    tail: usize,
}

/// The ends of a list as they were at the last reading.
#[derive(Debug, Default)]
pub(super) struct ListEnds {
    len: usize,
    head: Vec<Element>,
    tail: Vec<Element>,
    /// Heads at the readings before, the latest first.
    earlier_heads: VecDeque<Vec<Element>>,
    /// New elements at the last reading.
    grew: usize,
    has_skipped: bool,
}

impl ListEnds {
    /// Ends of a list whose present elements are not read.
    pub(super) fn behind(view: &ListView) -> Self {
        let mut ends = Self::default();
        ends.remember(view);
        ends
    }

    /// Elements of each end to ask for.
    pub(super) fn window(&self) -> usize {
        (MARKS + 2 * self.grew).min(MOST_WINDOW)
    }

    /// Returns true if there were more new elements at once than are read.
    pub(super) fn has_skipped(&self) -> bool {
        self.has_skipped
    }

    /// Finds the new elements. `replaced` is true if Redis was away, so that the list may be another one, or the same
    /// one without its newest elements.
    pub(super) fn look(&mut self, view: &ListView, replaced: bool) -> LookResult {
        let all_seen = view.head.len() == view.len;
        let is_widest = all_seen || view.head.len() >= MOST_WINDOW;
        let expected = match self.len {
            0 => view.len,
            len => view.len.saturating_sub(len) + MARKS,
        };
        let sees_growth = all_seen || view.head.len() >= expected;
        if !sees_growth && !is_widest {
            return LookResult::Widen(expected.min(MOST_WINDOW));
        }
        let found = self.grown(view).or_else(|| self.moved(view, sees_growth, replaced));
        let grown = match found {
            Some(grown) => grown,
            None if all_seen => Grown { head: view.len, tail: 0 },
            None if is_widest => self.skip(view),
            None => return LookResult::Widen((view.head.len() * WIDEN).min(MOST_WINDOW)),
        };
        let from_tail = view.tail.len() - grown.tail.min(view.tail.len());
        let new: Vec<_> =
            view.head[..grown.head].iter().chain(&view.tail[from_tail..]).cloned().collect();
        self.remember(view);
        self.grew = new.len();
        LookResult::New(new)
    }

    /// The part of the growth that is seen of a list that grew by more than that, or is another one.
    fn skip(&mut self, view: &ListView) -> Grown {
        self.has_skipped = true;
        let head = self.head_in(view).unwrap_or(view.head.len());
        let tail = self.tail_in(view).unwrap_or(view.tail.len());
        Grown { head, tail: tail.min(view.len - head) }
    }

    fn remember(&mut self, view: &ListView) {
        self.len = view.len;
        if !self.head.is_empty() {
            self.earlier_heads.push_front(std::mem::take(&mut self.head));
            self.earlier_heads.truncate(REMEMBERED);
        }
        self.head = view.head[..MARKS.min(view.head.len())].to_vec();
        self.tail = view.tail[view.tail.len() - MARKS.min(view.tail.len())..].to_vec();
    }

    /// The growth of a list of which nothing was taken: both ends fit its length.
    fn grown(&self, view: &ListView) -> Option<Grown> {
        let growth = view.len.checked_sub(self.len)?;
        let fits =
            |head: &usize| self.has_head_at(view, *head) && self.has_tail_at(view, growth - head);
        (0..=growth.min(view.head.len())).find(fits).map(|head| Grown { head, tail: growth - head })
    }

    /// The growth of a list that is trimmed at an end: its other end is found.
    fn trimmed(&self, view: &ListView) -> Option<Grown> {
        match (self.head_in(view), self.tail_in(view)) {
            (None, None) => None,
            (head, tail) => {
                let head = head.unwrap_or(0);
                Some(Grown { head, tail: tail.unwrap_or(0).min(view.len - head) })
            }
        }
    }

    /// The growth of a list from which others took.
    fn moved(&self, view: &ListView, sees_growth: bool, replaced: bool) -> Option<Grown> {
        if !sees_growth {
            None
        } else if replaced {
            self.above_earlier_heads(view)
        } else {
            self.trimmed(view)
        }
    }

    /// The growth of a list that came back without its newest elements: all above the latest head that is found.
    fn above_earlier_heads(&self, view: &ListView) -> Option<Grown> {
        let mut heads = std::iter::once(&self.head).chain(&self.earlier_heads);
        let head = heads.find_map(|head| {
            let mut places = view.head.windows(head.len().max(1));
            places.position(|place| place == head.as_slice())
        })?;
        Some(Grown { head, tail: 0 })
    }

    /// The place of the old head.
    fn head_in(&self, view: &ListView) -> Option<usize> {
        (0..view.head.len()).find(|head| self.has_head_at(view, *head))
    }

    /// The number of elements behind the old tail.
    fn tail_in(&self, view: &ListView) -> Option<usize> {
        (0..view.tail.len()).find(|tail| self.has_tail_at(view, *tail))
    }

    /// Returns true if the old head begins at that place; of a list that was cut behind it, its rest.
    fn has_head_at(&self, view: &ListView, place: usize) -> bool {
        let left = self.head.len().min(view.len - place.min(view.len));
        let seen = view.head.get(place..place + left);
        left > 0 && seen.is_some_and(|seen| seen == &self.head[..left])
    }

    /// Returns true if the old tail ends that number of places before the end.
    fn has_tail_at(&self, view: &ListView, place: usize) -> bool {
        let left = self.tail.len().min(view.len - place.min(view.len));
        let Some(end) = view.tail.len().checked_sub(place) else { return false };
        let Some(begin) = end.checked_sub(left) else { return false };
        left > 0 && view.tail[begin..end] == self.tail[self.tail.len() - left..]
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    /// As Redis gives it.
    fn view(list: &VecDeque<Element>, window: usize) -> ListView {
        let count = window.min(list.len());
        ListView {
            len: list.len(),
            head: list.iter().take(count).cloned().collect(),
            tail: list.iter().skip(list.len() - count).cloned().collect(),
        }
    }

    /// Reads as the reader does, and says how wide the last look was.
    fn read(ends: &mut ListEnds, list: &VecDeque<Element>) -> (Vec<u64>, usize) {
        read_after(ends, list, false)
    }

    fn read_after(
        ends: &mut ListEnds,
        list: &VecDeque<Element>,
        replaced: bool,
    ) -> (Vec<u64>, usize) {
        let mut window = ends.window();
        for _ in 0..20 {
            match ends.look(&view(list, window), replaced) {
                LookResult::New(new) => {
                    let number = |element: &Element| {
                        String::from_utf8_lossy(element).parse().expect("a number")
                    };
                    return (new.iter().map(number).collect(), window);
                }
                LookResult::Widen(wider) => window = wider,
            }
        }
        panic!("no end of looks");
    }

    fn element(n: u64) -> Element {
        n.to_string().into_bytes()
    }

    #[test]
    fn a_list_that_is_trimmed_to_its_newest_is_read_on() {
        for newest_first in [true, false] {
            let mut list: VecDeque<_> = (0..5_000).map(element).collect();
            let mut ends = ListEnds::behind(&view(&list, MARKS));
            let mut next = 5_000;
            for growth in [0, 1, 7, 40, 3_000, 12] {
                for n in next..next + growth {
                    if newest_first {
                        list.push_front(element(n));
                        list.truncate(5_000);
                    } else {
                        list.push_back(element(n));
                        list.drain(..list.len() - 5_000);
                    }
                }
                let (mut new, _) = read(&mut ends, &list);
                new.sort_unstable();
                assert_eq!(
                    new,
                    (next..next + growth).collect::<Vec<_>>(),
                    "{newest_first} {growth}"
                );
                next += growth;
            }
        }
    }

    #[test]
    fn a_long_list_that_does_not_change_is_not_read_whole() {
        let list: VecDeque<_> = (0..100_000).map(element).collect();
        let mut ends = ListEnds::behind(&view(&list, MARKS));
        assert_eq!(read(&mut ends, &list), (Vec::new(), MARKS));
    }

    #[test]
    fn of_a_huge_list_that_was_replaced_only_the_ends_are_read() {
        let huge = |first: u64| (first..first + 3 * MOST_WINDOW as u64).map(element).collect();
        let mut list: VecDeque<Element> = huge(0);
        let mut ends = ListEnds::behind(&view(&list, MARKS));
        list = huge(10_000_000);
        let (new, window) = read(&mut ends, &list);
        assert_eq!((new.len(), window), (2 * MOST_WINDOW, MOST_WINDOW));
        assert!(ends.has_skipped());
        list.push_front(element(1));
        assert_eq!(read(&mut ends, &list), (vec![1], MOST_WINDOW), "it is read on from there");
        assert_eq!(read(&mut ends, &list), (Vec::new(), MARKS + 2));
    }

    #[test]
    fn of_a_growth_that_is_too_large_the_newest_are_read() {
        for newest_first in [true, false] {
            let mut list: VecDeque<_> = (0..100).map(element).collect();
            let mut ends = ListEnds::behind(&view(&list, MARKS));
            let grown = 100..100 + 2 * MOST_WINDOW as u64;
            for n in grown.clone() {
                if newest_first { list.push_front(element(n)) } else { list.push_back(element(n)) }
            }
            let (new, _) = read(&mut ends, &list);
            assert_eq!(new.len(), MOST_WINDOW, "{newest_first}");
            assert!(new.contains(&(grown.end - 1)) && !new.contains(&99) && ends.has_skipped());
        }
        let mut ends = ListEnds::default();
        let list: VecDeque<_> = (0..3 * MOST_WINDOW as u64).map(element).collect();
        assert_eq!(read(&mut ends, &list).0.len(), 2 * MOST_WINDOW, "it was empty before");
    }

    #[test]
    fn equal_elements_are_told_by_the_length() {
        let mut list: VecDeque<_> = (0..50).map(|_| element(7)).collect();
        let mut ends = ListEnds::behind(&view(&list, MARKS));
        list.extend((0..20).map(|_| element(7)));
        assert_eq!(read(&mut ends, &list).0.len(), 20);
    }

    #[test]
    fn after_an_outage_a_list_that_does_not_fit_is_read_anew() {
        let list: VecDeque<_> = (0..50).map(element).collect();
        let mut ends = ListEnds::behind(&view(&list, MARKS));
        // An older state came back, and new stamps came to its head.
        let mut back: VecDeque<_> = (30..50).map(element).collect();
        (100..105).for_each(|n| back.push_front(element(n)));
        let LookResult::New(new) = ends.look(&view(&back, 100), true) else {
            panic!("all was seen")
        };
        assert_eq!(new.len(), 25);
    }

    #[test]
    fn after_an_outage_a_trimmed_list_is_read_on() {
        let keep = 50_000;
        let mut list: VecDeque<_> = (0..keep).rev().map(element).collect();
        let mut ends = ListEnds::behind(&view(&list, MARKS));
        let push = |list: &mut VecDeque<Element>, ids: std::ops::Range<u64>| {
            ids.for_each(|n| list.push_front(element(n)));
            list.truncate(keep as usize);
        };
        for second in 0..3 {
            let first = keep + second * 100;
            push(&mut list, first..first + 100);
            assert_eq!(read(&mut ends, &list).0.len(), 100);
        }
        // Redis was away, and comes back with all elements or without those of the last second.
        for lost in [0, 130] {
            let mut back = list.clone();
            back.drain(..lost);
            push(&mut back, 900_000..900_500);
            let mut ends = ListEnds {
                earlier_heads: ends.earlier_heads.clone(),
                ..ListEnds::behind(&view(&list, MARKS))
            };
            let (new, window) = read_after(&mut ends, &back, true);
            assert!(new.len() >= 500 && new.len() <= 600, "{lost}: {} elements", new.len());
            assert!(new.contains(&900_000) && window < 5_000, "{lost}: {window}");
        }
    }

    proptest! {
        /// Whatever was there before and whichever end each element goes to: each is read once.
        #[test]
        fn each_element_is_read_once(
            old in 0u64..40, readings in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..60), 1..8),
        ) {
            let mut list: VecDeque<_> = (0..old).map(element).collect();
            let mut ends = ListEnds::behind(&view(&list, MARKS));
            let mut next = old;
            for pushes in readings {
                let first = next;
                for at_head in pushes {
                    if at_head { list.push_front(element(next)) } else { list.push_back(element(next)) }
                    next += 1;
                }
                let (mut new, _) = read(&mut ends, &list);
                new.sort_unstable();
                prop_assert_eq!(new, (first..next).collect::<Vec<_>>());
            }
        }

        /// What others do to a list can make readings incomplete, never end in a panic or without an end.
        #[test]
        fn any_change_of_the_list_is_survived(
            lists in prop::collection::vec(prop::collection::vec(0u64..6, 0..40), 1..10),
        ) {
            let mut ends = ListEnds::default();
            for list in lists {
                let list: VecDeque<_> = list.into_iter().map(element).collect();
                read(&mut ends, &list);
            }
        }
    }
}
