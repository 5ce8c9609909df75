//! Accounts of made-up runs.

use super::*;
use crate::message::IdWriter;
use proptest::prelude::*;

struct World {
    space: IdSpace,
    table: Arc<DueTable>,
    arrivals: ArrivalTracker,
}

fn world(workers: u64) -> World {
    let space = IdSpace::from_authority(1_000, workers, 100);
    let table = Arc::new(DueTable::default());
    let arrivals = ArrivalTracker::new(space, Arc::clone(&table), Nanos(10));
    World { space, table, arrivals }
}

fn join(w: &mut World, accepted: &IdSet, sent: u64) -> MessageAccount {
    let failed = IdSet::default();
    let messages = SentMessages { accepted, failed: &failed, sent };
    MessageAccount::join(&messages, &mut w.arrivals, Nanos(1_000), |_, _| ())
}

#[test]
fn another_nodes_messages_are_left_to_it() {
    let space = IdSpace::from_authority(0, 1, 100);
    let table = Arc::new(DueTable::default());
    let mut arrivals = ArrivalTracker::new(space.on_node(0, 2), table, Nanos(10));
    assert_eq!(arrivals.note(space.on_node(1, 2).id(0, 5)), Arrival::OtherNode);
    assert_eq!(arrivals.note(space.on_node(0, 2).id(0, 5)), Arrival::Unexpected);
    assert_eq!((arrivals.arrived(), arrivals.unexpected), (0, 1));
}

#[test]
fn each_message_ends_as_arrived_lost_or_unknown() {
    let mut w = world(1);
    let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
    let ids: Vec<_> = (0..6).filter_map(|i| writer.assign(i, Nanos(10 + i))).collect();
    let mut accepted = IdSet::default();
    for i in [0, 1, 2] {
        accepted.insert(&w.space, ids[i]);
    }
    assert_eq!(w.arrivals.note(Some(ids[0])), Arrival::First { due: Nanos(10) });
    assert_eq!(w.arrivals.note(Some(ids[2])), Arrival::First { due: Nanos(12) });
    assert_eq!(w.arrivals.note(Some(ids[0])), Arrival::Duplicate);
    assert_eq!(w.arrivals.note(Some(ids[3])), Arrival::First { due: Nanos(13) });
    assert_eq!(w.arrivals.note(None), Arrival::Unexpected);
    assert_eq!(w.arrivals.note(MsgId::new(1)), Arrival::Unexpected);
    assert_eq!(w.arrivals.note(w.space.id(0, 77)), Arrival::Unexpected, "not sent yet");
    let account = join(&mut w, &accepted, 6);
    let expected = MessageAccount {
        accepted: 3,
        arrived: 3,
        lost: 1,
        duplicated: 1,
        reordered: 0,
        unexpected: 3,
        foreign: 1,
        missed: 0,
        unknown: 2,
        lost_examples: vec![ids[1]],
        duplicated_examples: vec![ids[0]],
    };
    assert_eq!(account, expected);
}

#[test]
fn what_was_due_while_the_subscriber_was_away_is_missed_and_not_lost() {
    let mut w = world(1);
    let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
    let ids: Vec<_> =
        (0..10).filter_map(|i| writer.assign(i, Nanos::from_millis(1_000 * (i + 1)))).collect();
    let mut accepted = IdSet::default();
    ids.iter().for_each(|id| _ = accepted.insert(&w.space, *id));
    for id in [0, 2, 3] {
        w.arrivals.note(Some(ids[id]));
    }
    w.arrivals.disconnected(HeardBy::Itself);
    w.arrivals.reconnected(HeardBy::Itself, Nanos::from_millis(7_500), false);
    for id in [7, 9] {
        w.arrivals.note(Some(ids[id]));
    }
    let account = join(&mut w, &accepted, 10);
    assert_eq!((account.arrived, account.missed, account.unknown), (5, 3, 0));
    assert_eq!(account.lost_examples, [ids[1], ids[8]], "before it and after it");
    assert_eq!(account.lost, 2);
    assert_eq!(w.arrivals.missed_spans(Nanos::from_secs(10)).len(), 1);
}

#[test]
fn a_message_whose_request_failed_has_an_age_unless_it_arrived() {
    let mut w = world(1);
    let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
    let ids: Vec<_> = (0..3).filter_map(|i| writer.assign(i, Nanos(100 + i))).collect();
    w.arrivals.note(Some(ids[1]));
    let (accepted, mut failed, mut ages) = (IdSet::default(), IdSet::default(), Vec::new());
    failed.insert(&w.space, ids[0]);
    failed.insert(&w.space, ids[1]);
    let messages = SentMessages { accepted: &accepted, failed: &failed, sent: 3 };
    let account = MessageAccount::join(&messages, &mut w.arrivals, Nanos(1_000), |id, age| {
        ages.push((id, age));
    });
    assert_eq!(ages, [(ids[0], Nanos(900))]);
    assert_eq!((account.arrived, account.unknown, account.lost), (1, 2, 0));
}

#[test]
fn warm_up_messages_are_known_and_not_counted() {
    let mut w = world(1);
    let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
    let id = writer.assign(0, Nanos(9));
    assert_eq!(w.arrivals.note(id), Arrival::Warmup);
    assert_eq!(join(&mut w, &IdSet::default(), 0), MessageAccount::default());
}

#[test]
fn due_times_are_given_back_even_where_messages_are_missing() {
    let mut w = world(2);
    let mut writer = IdWriter::new(w.space, 1, Some(Arc::clone(&w.table)));
    let len = w.space.block_len();
    let mut late = None;
    for index in 0..len * 5 {
        let id = writer.assign(index, Nanos(100 + index));
        if index == 3 {
            late = id;
        } else {
            assert!(matches!(w.arrivals.note(id), Arrival::First { .. }));
        }
    }
    assert!(w.table.len() <= 2, "due blocks pile up");
    assert_eq!(
        w.arrivals.note(late),
        Arrival::First { due: Nanos(103) },
        "a straggler is still known"
    );
    assert_eq!(w.arrivals.note(late), Arrival::Duplicate);
    assert_eq!(join(&mut w, &IdSet::default(), len * 5).reordered, 1);
}

proptest! {
    /// Whatever is accepted and arrives, in whatever order: the account adds up, and says what a
    /// naive set difference says.
    #[test]
    fn the_account_adds_up(
        fate in prop::collection::vec((any::<bool>(), 0usize..3), 1..400), workers in 1u64..4, turn in 0usize..400,
    ) {
        let mut w = world(workers);
        let mut accepted = IdSet::default();
        let mut copies = Vec::new();
        let (mut lost, mut unknown) = (Vec::new(), 0);
        for worker in 0..workers {
            let mut writer = IdWriter::new(w.space, worker, Some(Arc::clone(&w.table)));
            for (index, (ok, arrivals)) in fate.iter().enumerate() {
                let id = writer.assign(index as u64, Nanos(10)).expect("ids are at hand");
                if *ok { accepted.insert(&w.space, id); }
                copies.extend(std::iter::repeat_n(id, *arrivals));
                if *arrivals == 0 { if *ok { lost.push(id) } else { unknown += 1 } }
            }
        }
        if !copies.is_empty() { let at = turn % copies.len(); copies.rotate_left(at); }
        for id in &copies { w.arrivals.note(Some(*id)); }
        let sent = fate.len() as u64 * workers;
        let account = join(&mut w, &accepted, sent);
        prop_assert_eq!(account.arrived + account.lost + account.unknown, sent);
        prop_assert_eq!((account.lost, account.unknown), (lost.len() as u64, unknown));
        prop_assert_eq!(account.duplicated, copies.len() as u64 - account.arrived);
        lost.truncate(EXAMPLES);
        prop_assert_eq!(account.lost_examples, lost);
    }
}
