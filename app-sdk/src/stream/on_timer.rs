//! On timer: a handler is called when the timer of a row has come.

use alloc::rc::Rc;

use super::Keyed;
use crate::host::FireStage;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::TimedRow;
use crate::tables::TimedTable;
use crate::updates::TimerStage;
use crate::value::State;

impl<K: Key, S: State> TimedTable<K, S> {
    /// Calls `handler` with each row whose timer has come. The handler may change the row, set its
    /// timer again, remove it, and returns what it emits: see [`Outputs`].
    ///
    /// - A timer set to `t` fires when the watermark has reached `t`: when nothing on time at or
    ///   before `t` can come any more. It fires before any event of its row that comes after that.
    /// - What it emits has the time `t`. The timer is gone then, unless the handler sets it again.
    /// - When the input ends, each timer fires once, whatever its time. One that is set then does
    ///   not fire.
    ///
    /// Describe all updates of the table before.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Step { order: u64, time: EventTime, fill: bool }
    ///
    /// let app = Application::new("timeouts");
    /// let open = app.table::<u64, ()>("open").timers();
    /// app.source("steps", LineText::new())
    ///     .map(|line| {
    ///         let mut words = line.split(' ');
    ///         let order = words.next()?.parse().ok()?;
    ///         let time = EventTime::from_millis(words.next()?.parse().ok()?);
    ///         Some(Step { order, time, fill: words.next() == Some("fill") })
    ///     })
    ///     .event_time(|step| step.time, IN_ORDER)
    ///     .key_by(|step| step.order)
    ///     .update_row(&open, |order, step| match step.fill {
    ///         true => order.remove(),
    ///         false => order.set_timer_in(millis(50)),
    ///     });
    /// open.on_timer(|order| {
    ///     order.remove();
    ///     format!("cancel {}", order.key())
    /// })
    /// .sink("cancels", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("steps", b"1 0\n2 0\n1 50 fill\n3 51\n");
    /// assert_eq!(reference.output("cancels"), b"cancel 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    // cold: while the application is described
    pub fn on_timer<R, F>(&self, handler: F) -> Keyed<R::Event, K>
    where
        R: Outputs + 'static,
        F: for<'b> Fn(&mut TimedRow<'b, K, S>) -> R + Send + Sync + 'static,
    {
        let step = self.draft.borrow_mut().on_timer(self.of.of.id);
        let next = Keyed::new(self.draft.clone(), step);
        let stage = TimerStage::new(self.of.clone(), handler, next.consumers.clone());
        let stage: Rc<dyn FireStage> = Rc::new(stage);
        self.draft.borrow_mut().timed(self.of.of.id).stage = stage.clone();
        self.of.set_stage(stage);
        next
    }
}
