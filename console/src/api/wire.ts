// Short names for the shapes that several pages use.
import type { Schemas } from "./client";

export type Me = Schemas["MeOut"];
export type Ticket = Schemas["ListedTicketOut"];
export type Clock = Schemas["SlaClockOut"];
export type Message = Schemas["MessageOut"];
export type Customer = Schemas["CustomerOut"];
export type Agent = Schemas["AgentOut"];
export type Team = Schemas["TeamOut"];
export type Goal = Schemas["ServiceGoalOut"];
export type GoalStatus = Schemas["ServiceGoalStatus"];
export type Backlog = Schemas["Backlog"];
export type ResponseTimes = Schemas["ResponseTimes"];
export type QualityFigures = Schemas["QualityFigures"];
export type QualityReport = Schemas["QualityReport"];
export type StreamEvent = Schemas["AuditEntry"];
export type Status = Schemas["Status"];
export type Priority = Schemas["Priority"];
// The same operations answer CSV as text, where that is asked for.
export type BacklogReport = Schemas["BacklogReport"];
export type ResponseTimesReport = Schemas["ResponseTimesReport"];
export type OverloadReport = Schemas["OverloadReport"];
